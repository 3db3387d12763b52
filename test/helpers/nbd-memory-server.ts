// Serves a RAM volume on a unix socket, to be tried with other clients: node dist/test/helpers/nbd-memory-server.js SOCKET [MIB [EXPORT]]

import { readSocket } from '../../src/disk/socket-reader.js';
import { sendSocket } from '../../src/disk/socket-sender.js';
import { NbdServer } from '../../src/nbd/server.js';
import { systemClock } from './clock.js';
import { MemoryBackend } from './memory-backend.js';

const [path, mib = '64', name = 'vol'] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: nbd-memory-server SOCKET [MIB [EXPORT]]');
const backend = new MemoryBackend({ exportName: name, sizeBytes: Number(mib) * 1024 * 1024 });
const server = new NbdServer({
  exports: { lookup: (wanted) => (wanted === name ? backend : undefined), list: () => [backend] },
  clock: systemClock,
  readSocket,
  sendSocket,
});
await server.listen({ kind: 'unix', path });
process.stdout.write('ready\n');
process.once('SIGTERM', () => void stop());

async function stop(): Promise<void> {
  await server.stop(2000);
  process.stdout.write(`${JSON.stringify(server.metrics)}\n`);
  process.exit(0);
}
