<?php
// Sends the payload as WordPress does, through its two transports, and prints `WAY STATUS` for each request.
// Written from what its HTTP API sends: a nested body becomes a form by http_build_query, the protocol is 1.0 or 1.1 by
// version, and a request that is not "blocking" is sent without waiting for the answer.
// Usage: php wordpress.php ADDRESS, with payload.json beside it.

[, $address] = $argv;
$payload = json_decode(file_get_contents('payload.json'), true);
const AGENT = 'WordPress/6.8; https://shop.example.org';

/** As its cURL transport: no content type of its own, every encoding, an empty Expect. */
function by_curl(string $way, $body, array $headers, string $version, string $method = 'POST'): void
{
    global $address;
    $url = "{$address}receiver-of-the-way-$way";
    if (is_array($body)) {
        $body = http_build_query($body, '', '&');
    }
    $options = [
        CURLOPT_RETURNTRANSFER => true, CURLOPT_USERAGENT => AGENT, CURLOPT_ENCODING => '', CURLOPT_REFERER => $url,
        CURLOPT_HTTP_VERSION => $version === '1.0' ? CURL_HTTP_VERSION_1_0 : CURL_HTTP_VERSION_1_1,
        CURLOPT_HTTPHEADER => [...$headers, 'Expect:', 'Connection: close'],
    ];
    if ($method === 'GET') {
        $url .= "?$body";
    } else {
        $options += [CURLOPT_POST => true, CURLOPT_POSTFIELDS => $body];
    }
    $curl = curl_init($url);
    curl_setopt_array($curl, $options);
    curl_exec($curl);
    echo "$way ", curl_getinfo($curl, CURLINFO_RESPONSE_CODE), "\n";
}

/** As its socket transport, which closes at once when nobody waits for the answer. */
function by_socket(string $way, array $body, bool $waits): void
{
    global $address;
    $url = parse_url("{$address}receiver-of-the-way-$way");
    $form = http_build_query($body, '', '&');
    $socket = stream_socket_client("tcp://{$url['host']}:{$url['port']}");
    fwrite($socket, "POST {$url['path']} HTTP/1.0\r\nHost: {$url['host']}:{$url['port']}\r\nUser-Agent: " . AGENT . "\r\n"
        . "Accept-Encoding: deflate;q=1.0, compress;q=0.5, gzip;q=0.5\r\nContent-Length: " . strlen($form) . "\r\n"
        . "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nConnection: Close\r\n\r\n$form");
    $status = $waits ? substr(stream_get_contents($socket), 9, 3) : 'sent';
    fclose($socket);
    echo "$way $status\n";
}

by_curl('post-1-0', $payload, [], '1.0');
by_curl('post-1-1', $payload, [], '1.1');
by_curl('post-with-charset', $payload, ['Content-Type: application/x-www-form-urlencoded; charset=UTF-8'], '1.0');
// wp_json_encode escapes slashes and letters beyond ASCII.
by_curl('json', json_encode($payload), ['Content-Type: application/json; charset=utf-8'], '1.0');
by_curl('get', $payload, [], '1.0', 'GET');
by_socket('socket', $payload, true);
by_socket('socket-not-blocking', $payload, false);
