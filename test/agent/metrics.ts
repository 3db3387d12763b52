// agent/metrics.ts: the names and labels of the metrics, their values from a snapshot, and the HTTP side.

import t from 'tap';
import { MetricsServer } from '../../src/agent/metrics.js';
import { statusDocument, unopenedStatus } from '../../src/agent/status.js';
import type { GroupConfig } from '../../src/core/group-config.js';
import { GROUP_SETTINGS } from '../helpers/group-config.js';

const config: GroupConfig = {
  name: 'app',
  role: 'primary',
  ...GROUP_SETTINGS,
  log: { path: '/l', sizeBytes: 1000 },
  volumes: [{ name: 'data', device: '/d', sizeBytes: 4096, io: undefined }],
  sites: [{ name: 'b', host: '127.0.0.1', port: 1, mode: 'async', onDisconnect: 'continue', logFull: 'bitmap' }],
};
const facts = { site: 'a', version: '1', insecure: false, wallMs: 0 };

function makeServer(completed: () => number): MetricsServer {
  const status = unopenedStatus(config, new Error('x'), false);
  const site = {
    ...status.sites[0],
    lagBytes: 8192,
    lagIos: 2,
    lagSeconds: 1.5,
    ackedLsn: '7',
    session: 'connected',
    dirtyBytes: 65536,
    resync: {
      state: 'running',
      reason: '',
      percent: 25,
      copiedBytes: 100,
      comparedBytes: 80,
      sameBytes: 60,
      remainingBytes: 300,
      bytesPerSecond: 10,
      etaSeconds: 30,
      seconds: 10,
    },
    resyncedBytes: 1100,
    resyncComparedBytes: 880,
    resyncSameBytes: 660,
    logFullEtaSeconds: 77,
    limits: { crossed: ['max_ios'], action: 'throttle', seconds: 3 },
  } as (typeof status.sites)[0];
  const volumes = status.volumes.map((volume) => ({ ...volume, remoteReads: 12 }));
  return new MetricsServer({
    status: () =>
      statusDocument(facts, [
        { ...status, role: 'primary', image: 'upToDate', throttledSeconds: 2.5, health: 'degraded', volumes, sites: [site] },
      ]),
    nbdCounters: () => [{ op: 'write', completed: completed(), failed: 1, bytes: 4096 }],
    nbdConnections: () => 3,
    shipCounters: () => ({ bytes: 99, records: 9 }),
  });
}

t.test('values of a snapshot become samples', async (t) => {
  const text = await makeServer(() => 5).text();
  const samples = [
    'lvr_group_role{group="app",state="primary"} 1',
    'lvr_group_role{group="app",state="secondary"} 0',
    'lvr_group_health{group="app",state="degraded"} 1',
    'lvr_group_image{group="app",state="upToDate"} 1',
    'lvr_group_image{group="app",state="inconsistent"} 0',
    'lvr_nbd_connections 3',
    'lvr_remote_reads_total{group="app",volume="data"} 12',
    'lvr_nbd_requests_total{group="app",volume="data",op="write"} 5',
    'lvr_nbd_errors_total{group="app",volume="data",op="write"} 1',
    'lvr_nbd_bytes_total{group="app",volume="data",op="write"} 4096',
    'lvr_log_size_bytes{group="app"} 1000',
    'lvr_repl_connected{group="app",site="b"} 1',
    'lvr_repl_lag_bytes{group="app",site="b"} 8192',
    'lvr_repl_lag_writes{group="app",site="b"} 2',
    'lvr_repl_lag_seconds{group="app",site="b"} 1.5',
    'lvr_dirty_bytes{group="app",site="b"} 65536',
    'lvr_resync_progress_ratio{group="app",site="b"} 0.25',
    'lvr_resync_remaining_bytes{group="app",site="b"} 300',
    'lvr_resync_eta_seconds{group="app",site="b"} 30',
    'lvr_resync_bytes_total{group="app",site="b"} 1100',
    'lvr_resync_compared_bytes_total{group="app",site="b"} 880',
    'lvr_resync_same_bytes_total{group="app",site="b"} 660',
    'lvr_log_full_eta_seconds{group="app",site="b"} 77',
    'lvr_repl_limit_crossed{group="app",site="b",limit="max_ios"} 1',
    'lvr_repl_limit_crossed{group="app",site="b",limit="max_age"} 0',
    'lvr_repl_limit_action{group="app",site="b",state="throttle"} 1',
    'lvr_repl_limit_action{group="app",site="b",state="fail"} 0',
    'lvr_nbd_throttled_seconds_total{group="app",reason="congestion"} 2.5',
    'lvr_repl_acked_lsn{group="app",site="b"} 7',
    'lvr_repl_sent_bytes_total{group="app",site="b"} 99',
    'lvr_repl_sent_writes_total{group="app",site="b"} 9',
  ];
  for (const sample of samples) t.ok(text.split('\n').includes(sample), sample);
  t.match(text, /^lvr_build_info\{version="[^"]+",node="v\d+/m);
});

t.test('of a group that could not be opened neither role nor lag is told', async (t) => {
  const server = new MetricsServer({
    status: () => statusDocument(facts, [unopenedStatus(config, new Error('x'), false)]),
    nbdCounters: () => [],
    nbdConnections: () => 0,
    shipCounters: () => undefined,
  });
  const text = await server.text();
  t.match(text, /lvr_group_role\{group="app",state="primary"\} 0\n/);
  t.match(text, /lvr_group_health\{group="app",state="failed"\} 1\n/);
  t.notMatch(text, /lvr_repl_lag_\w+\{/);
});

t.test('a counter shows the total, however often it is scraped', async (t) => {
  let total = 5;
  const server = makeServer(() => total);
  await server.text();
  total = 8;
  t.match(await server.text(), /^lvr_nbd_requests_total\{.*\} 8$/m);
});

t.test('no gauge has the name of a counter', async (t) => {
  const text = await makeServer(() => 0).text();
  const gauges = [...text.matchAll(/^# TYPE (\S+) gauge$/gm)].map((match) => match[1] ?? '');
  t.ok(gauges.length > 10);
  t.same(
    gauges.filter((name) => name.endsWith('_total')),
    [],
  );
});

t.test('only /metrics is answered, on the address asked for', async (t) => {
  const server = makeServer(() => 1);
  await server.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => server.close());
  const found = await fetch(`http://${server.address}/metrics`);
  t.equal(found.status, 200);
  t.match(found.headers.get('content-type'), /text\/plain; version=/);
  t.match(await found.text(), /lvr_repl_lag_seconds/);
  t.equal((await fetch(`http://${server.address}/`)).status, 404);
  const other = makeServer(() => 1);
  const port = Number(server.address.split(':').pop());
  await t.rejects(other.listen({ host: '127.0.0.1', port }), {
    code: 'FAILED',
    message: /metrics cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
  });
});
