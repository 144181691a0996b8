<?php
// Sends the payload in every way that PHP has without a library, and prints `WAY STATUS` for each request.
// Usage: php php.php ADDRESS, with payload.json and latin.json beside it.

[, $address] = $argv;
$payload = json_decode(file_get_contents('payload.json'), true);
$latin = json_decode(file_get_contents('latin.json'), true);
array_walk_recursive($latin, function (&$value) {
    $value = is_string($value) ? iconv('UTF-8', 'ISO-8859-1', $value) : $value;
});

/** Names with brackets and their values, for functions that take no nested arrays. */
function flat(array $values, string $prefix = ''): array
{
    $pairs = [];
    foreach ($values as $key => $value) {
        $name = $prefix === '' ? (string) $key : "{$prefix}[$key]";
        $pairs += is_array($value) ? flat($value, $name) : [$name => $value];
    }
    return $pairs;
}

function stream(string $way, array $http, string $query = ''): void
{
    global $address;
    $context = stream_context_create(['http' => $http + ['ignore_errors' => true]]);
    // Without a content type PHP sends the one of forms, and a notice.
    @file_get_contents("{$address}receiver-of-the-way-$way$query", false, $context);
    preg_match('{^\S+ (\d+)}', $http_response_header[0] ?? '', $found);
    echo "$way ", $found[1] ?? 'none', "\n";
}

function curl(string $way, array $options, string $query = ''): void
{
    global $address;
    $curl = curl_init("{$address}receiver-of-the-way-$way$query");
    curl_setopt_array($curl, $options + [CURLOPT_RETURNTRANSFER => true]);
    curl_exec($curl);
    echo "$way ", curl_getinfo($curl, CURLINFO_RESPONSE_CODE), "\n";
}

$form = http_build_query($payload);
$type = 'Content-type: application/x-www-form-urlencoded';
stream('stream-form', ['method' => 'POST', 'header' => $type, 'content' => $form]);
stream('stream-without-type', ['method' => 'POST', 'content' => $form]);
$lines = "$type\r\nContent-Length: " . strlen($form) . "\r\nUser-Agent: shop/1.0\r\n";
stream('stream-http-1-1', ['method' => 'POST', 'header' => $lines, 'content' => $form, 'protocol_version' => 1.1]);
$plain = http_build_query($payload, '', '&', PHP_QUERY_RFC3986);
stream('stream-rfc-3986', ['method' => 'POST', 'header' => $type, 'content' => $plain]);
stream('stream-get', ['method' => 'GET'], "?$form");
stream('stream-json', ['method' => 'POST', 'header' => 'Content-type: application/json', 'content' => json_encode($payload)]);
$pretty = json_encode($payload, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRETTY_PRINT);
stream('stream-json-pretty', ['method' => 'POST', 'header' => 'Content-type: application/json; charset=utf-8', 'content' => $pretty]);
stream('stream-latin', ['method' => 'POST', 'header' => "$type; charset=ISO-8859-1", 'content' => http_build_query($latin)]);
stream('stream-latin-get', ['method' => 'GET'], '?_charset_=ISO-8859-1&' . http_build_query($latin));

curl('curl-text', [CURLOPT_POSTFIELDS => $form]);
curl('curl-array', [CURLOPT_POSTFIELDS => flat($payload)]);
$file = new CURLStringFile('not read', 'notes.txt', 'text/plain');
curl('curl-array-file', [CURLOPT_POSTFIELDS => flat($payload) + ['attachment' => $file]]);
curl('curl-json', [CURLOPT_POSTFIELDS => json_encode($payload), CURLOPT_HTTPHEADER => ['Content-Type: application/json']]);
curl('curl-get', [CURLOPT_HTTPGET => true], "?$form");
curl('curl-expect', [CURLOPT_POSTFIELDS => $form, CURLOPT_HTTPHEADER => ['Expect: 100-continue']]);
curl('curl-latin-array', [CURLOPT_POSTFIELDS => ['_charset_' => 'ISO-8859-1'] + flat($latin)]);

/** Lists whose first item was taken out, as array_filter and unset leave them: the others keep their numbers. */
function with_gaps(mixed $value): mixed
{
    if (!is_array($value)) {
        return $value;
    }
    $value = array_map('with_gaps', $value);
    return array_is_list($value) ? array_filter([null, ...$value], fn ($item) => $item !== null) : $value;
}

$gaps = with_gaps($payload);
stream('gaps-form', ['method' => 'POST', 'header' => $type, 'content' => http_build_query($gaps)]);
stream('gaps-json', ['method' => 'POST', 'header' => 'Content-type: application/json', 'content' => json_encode($gaps)]);
