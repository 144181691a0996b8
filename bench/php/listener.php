<?php
// The page that a platform's help advises: it receives the "Sync to Third Party" post and stores it in a
// database. Written as well as this design allows: one connection per worker, prepared statements, one transaction a
// request, and nothing is answered before it is on disk (synchronous=FULL), as on our side.

$db = new PDO('sqlite:' . $_SERVER['BENCH_DB'], null, null, [
    PDO::ATTR_PERSISTENT => true,
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    PDO::ATTR_TIMEOUT => 30,
]);
// A persistent connection keeps them, so they cost nothing but the first time.
if ((int) $db->query('PRAGMA synchronous')->fetchColumn() !== 2) {
    $db->exec('PRAGMA synchronous = FULL');
}

$groups = [
    'fields' => ['id', 'name', 'value'],
    'campaigns-opened' => ['id', 'name', 'open_date'],
    'links-clicked' => ['url', 'clicks', null],
    'pages-visited' => ['page', null, 'visit_date'],
    'automation-triggered' => ['id', 'name', 'trigger_date'],
    'goals-reached' => ['id', 'name', 'reach_date'],
    'webhooks-triggered' => ['id', 'name', 'trigger_date'],
    'lead-score' => ['id', 'name', 'score_date'],
];

$contact = $_POST['contact'];
$db->exec('BEGIN IMMEDIATE');
$upsert = $db->prepare(
    'INSERT INTO contact (email, foreign_id, phone, profile_url, score, label) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (email) DO UPDATE SET foreign_id = excluded.foreign_id, phone = excluded.phone,
     profile_url = excluded.profile_url, score = excluded.score, label = excluded.label RETURNING id'
);
$status = $_POST['lead-status'] ?? [];
$upsert->execute([
    $contact['email'], $contact['id'] ?? null, $contact['phone'] ?? null, $contact['profile_url'] ?? null,
    $status['score'] ?? null, $status['label'] ?? null,
]);
$id = (int) $upsert->fetchColumn();
$upsert->closeCursor();
$insert = $db->prepare('INSERT INTO detail (contact_id, kind, key, value, at) VALUES (?, ?, ?, ?, ?)');
foreach ($groups as $group => [$key, $value, $at]) {
    foreach ($_POST[$group] ?? [] as $row) {
        $insert->execute([$id, $group, $row[$key] ?? null, $value ? ($row[$value] ?? null) : null, $at ? ($row[$at] ?? null) : null]);
    }
}
$db->exec('COMMIT');

$answer = json_encode(['status' => 'ok', 'id' => $id]);
header('Content-Type: application/json');
header('Content-Length: ' . strlen($answer));
echo $answer;
