// The thread of apart.ts: ends with one message, the result.

import { parentPort, workerData } from 'node:worker_threads';
import type { ApartJob } from './apart.js';

const { module, name, parameters } = workerData as ApartJob;
const exported = (await import(module)) as Record<string, ((...parameters: unknown[]) => Promise<unknown>) | undefined>;
const work = exported[name];
if (work === undefined) throw new Error(`${module} exports no ${name}`);
parentPort?.postMessage(await work(...parameters));
