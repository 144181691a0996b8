<?php
// Sends as Mautic does, and prints `WAY STATUS` for each request: its webhooks (signed JSON, several events in one request) and
// the campaign action "Send a webhook" (a form, or JSON if a header says so, or a query).
// Written from its public documentation and from what its requests look like.
// Usage: php mautic.php ADDRESS

[, $address] = $argv;

function send(string $way, string $method, array $headers, ?string $body, string $query = ''): void
{
    global $address;
    $curl = curl_init("{$address}receiver-of-the-way-$way$query");
    // What Guzzle sends of its own accord.
    $headers = [...$headers, 'User-Agent: GuzzleHttp/7', 'Accept:', 'Expect:'];
    $options = [CURLOPT_RETURNTRANSFER => true, CURLOPT_CUSTOMREQUEST => $method, CURLOPT_HTTPHEADER => $headers];
    curl_setopt_array($curl, $options + ($body === null ? [] : [CURLOPT_POSTFIELDS => $body]));
    curl_exec($curl);
    echo "$way ", curl_getinfo($curl, CURLINFO_RESPONSE_CODE), "\n";
}

/** A contact: fields in groups, each with its label, type and value twice. */
function contact(int $id, int $points, array $core, array $social): array
{
    $number = 0;
    $fields = [];
    foreach (['core' => $core, 'social' => $social] as $group => $values) {
        foreach ($values as $alias => [$label, $type, $value]) {
            $fields[$group][$alias] = [
                'id' => ++$number, 'group' => $group, 'label' => $label, 'alias' => $alias, 'type' => $type,
                'properties' => $type === 'multiselect' ? ['list' => [['label' => 'Bees', 'value' => 'bees']]] : [],
                'value' => $value, 'normalizedValue' => $value,
            ];
        }
    }
    return [
        'isPublished' => true, 'dateAdded' => '2026-01-02T03:04:05+00:00', 'dateModified' => null, 'createdBy' => 1,
        'createdByUser' => 'Office Person', 'modifiedBy' => null, 'modifiedByUser' => null, 'id' => $id, 'points' => $points,
        'color' => null, 'fields' => $fields + ['personal' => [], 'professional' => []], 'lastActive' => null,
        'owner' => ['id' => 1, 'username' => 'office', 'firstName' => 'Office', 'lastName' => 'Person'],
        'ipAddresses' => ['192.0.2.7' => ['ipDetails' => ['city' => 'Berlin']]], 'tags' => [['id' => 1, 'tag' => 'rivers']],
        'utmtags' => null, 'stage' => null, 'dateIdentified' => '2026-01-02T03:04:05+00:00',
        'preferredProfileImage' => 'gravatar', 'doNotContact' => [], 'frequencyRules' => [],
    ];
}

$zoe = contact(11, 7, [
    'firstname' => ['First Name', 'text', "Zoë \"Zo\" O'Brien"], 'lastname' => ['Last Name', 'text', 'Ünal & Söhne 🌻'],
    'email' => ['Email', 'email', 'zoe+rivers@example.org'], 'mobile' => ['Mobile', 'tel', '+49 30 555 01'],
    'phone' => ['Phone', 'tel', ''], 'points' => ['Points', 'number', 7], 'city' => ['City', 'text', 'Köln'],
    'zipcode' => ['Zip Code', 'text', '04103'], 'country' => ['Country', 'country', 'Germany'],
    'topics' => ['Topics', 'multiselect', 'bees|rivers & lakes'], 'motto' => ['Motto', 'text', null],
], ['website2' => ['Second site', 'url', 'https://e.example.org/?a=1&b=2+3%20']]);
$ann = contact(12, 0, ['email' => ['Email', 'email', 'ann@example.org']], []);
$events = [
    ['contact' => $zoe, 'timestamp' => '2026-01-02T03:04:05+00:00'],
    ['contact' => $ann, 'timestamp' => '2026-01-02T03:04:06+00:00'],
];

function webhook(string $way, string $event, array $events): void
{
    $json = json_encode([$event => $events]);
    $signature = base64_encode(hash_hmac('sha256', $json, 'the-secret-of-the-webhook', true));
    send($way, 'POST', [
        'Content-Type: application/json', 'X-Origin-Base-URL: https://mautic.example.org', "Webhook-Signature: $signature",
    ], $json);
}

webhook('webhook', 'mautic.lead_post_save_update', $events);
webhook('subscription', 'mautic.lead_channel_subscription_changed', [[
    'contact' => $ann, 'channel' => 'email', 'old_status' => 'contactable', 'new_status' => 'unsubscribed',
    'timestamp' => '2026-01-02T03:05:00+00:00',
]]);

// Keys are the ones that its user typed, values are texts.
$data = [
    'email' => 'zoe+rivers@example.org', 'firstname' => "Zoë \"Zo\" O'Brien", 'lastname' => 'Ünal & Söhne 🌻',
    'mobile' => '+49 30 555 01', 'motto' => '100% a=b;c', 'phone' => '', 'contact_id' => '11',
];
$nested = ['contact[id]' => '11'];
foreach ($data as $key => $value) {
    $nested["contact[$key]"] = $value;
}
unset($nested['contact[contact_id]']);
$form = ['Content-Type: application/x-www-form-urlencoded'];
send('form', 'POST', $form, http_build_query($data));
send('nested', 'POST', $form, http_build_query($nested));
send('json', 'POST', ['content-type: application/json'], json_encode($data));
send('get', 'GET', [], null, '?' . http_build_query($data));
send('get-behind-a-query', 'GET', [], null, '?from=mautic&' . http_build_query($data));
