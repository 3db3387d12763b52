// Module hook that instruments the files of core/ and format/ while they are loaded, in processes that register.ts is preloaded into.

import { instrument } from './instrument.js';
import { nameOf } from './names.js';

type Context = { format?: string | null };
type Loaded = { format: string; source: string | Uint8Array; shortCircuit?: boolean };

/** Node's load hook (module.register). */
export async function load(url: string, context: Context, next: (url: string, context: Context) => Promise<Loaded>): Promise<Loaded> {
  const loaded = await next(url, context);
  const name = nameOf(url);
  if (name === undefined) return loaded;
  const text = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
  return { ...loaded, source: instrument(text, name).source };
}
