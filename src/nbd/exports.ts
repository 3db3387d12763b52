// What the server may export, and how a name given by a client is resolved.

import type { Backend } from '../core/ports.js';
import { SEND } from './protocol.js';

/** The volumes of the agent as the server sees them; both functions are asked anew for every option of a handshake. */
export interface ExportRegistry {
  /** The volume with this export name, also when it is unavailable at the moment. */
  lookup(name: string): Backend | undefined;
  /** All volumes, in the order they are listed to clients. */
  list(): readonly Backend[];
}

/** Resolves an export name; the empty name stands for the only export if there is exactly one (proto.md, "default export"). */
export function findExport(registry: ExportRegistry, name: string): Backend | undefined {
  const exact = registry.lookup(name);
  if (exact !== undefined || name !== '') return exact;
  const all = registry.list();
  return all.length === 1 ? all[0] : undefined;
}

/** What a volume can do, as transmission flags. */
export function transmissionFlags(backend: Backend, structured: boolean): number {
  const changes = backend.readOnly ? SEND.readOnly : SEND.trim | SEND.writeZeroes;
  return SEND.hasFlags | SEND.flush | SEND.fua | SEND.multiConn | changes | (structured ? SEND.df : 0);
}
