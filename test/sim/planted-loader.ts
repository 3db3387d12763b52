// Module hooks that put one planted bug into core/planted.js while it is loaded; used by processes that test/sim/planted.ts starts.

type Context = { format?: string | null };
type Loaded = { format: string; source: string | ArrayBuffer; shortCircuit?: boolean };

/** Node's load hook (module.register). */
export async function load(url: string, context: Context, next: (url: string, context: Context) => Promise<Loaded>): Promise<Loaded> {
  const bug = process.env['LVR_PLANTED'] ?? '';
  if (bug === '' || !url.endsWith('/src/core/planted.js')) return next(url, context);
  return { format: 'module', source: `export const PLANTED = ${JSON.stringify(bug)};`, shortCircuit: true };
}
