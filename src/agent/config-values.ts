// The small grammars inside configuration values: sizes, addresses and NBD listeners. Pure; undefined means "not of this form".

import { GIB, KIB, MIB } from '../core/limits.js';

/** Where a TCP listener or a site is. IPv6 hosts are without brackets. */
export type Address = { readonly host: string; readonly port: number };

/** One entry of `agent.nbd`. */
export type NbdListen = ({ readonly kind: 'tcp' } & Address) | { readonly kind: 'unix'; readonly path: string };

/** Longest path a unix socket can be bound to (sun_path without its terminator). */
export const SOCKET_PATH_BYTES_MAX = 107;

const UNITS: Record<string, number> = { '': 1, B: 1, KiB: KIB, MiB: MIB, GiB: GIB, TiB: 1024 * GIB, K: KIB, M: MIB, G: GIB, T: 1024 * GIB };

/** Bytes of `256MiB`, `1GiB`, `4096` or a plain number. */
export function parseSize(value: string | number): number | undefined {
  const match = /^(\d{1,16})\s*([A-Za-z]{0,3})$/.exec(String(value));
  const unit = UNITS[match?.[2] ?? ''];
  const bytes = match && unit !== undefined ? Number(match[1]) * unit : Number.NaN;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const DURATIONS: Record<string, number> = { '': 1, ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `500ms`, `30s`, `5m`, `2h`, `1d` or a plain number. */
export function parseDuration(value: string | number): number | undefined {
  const match = /^(\d{1,16})\s*([a-z]{0,3})$/.exec(String(value));
  const unit = DURATIONS[match?.[2] ?? ''];
  const ms = match && unit !== undefined ? Number(match[1]) * unit : Number.NaN;
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** `10.0.0.2:7749`, `host:7749` or `[::1]:7749`. Port 0 (any free port) only where `anyPort` is set: for listeners in tests. */
export function parseAddress(text: string, anyPort = false): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535 || (port === 0 && !anyPort)) return undefined;
  return { host, port };
}

/** `unix:/path` or `tcp:host:port`. */
export function parseNbdListen(text: string): NbdListen | undefined {
  if (text.startsWith('unix:/')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const address = text.startsWith('tcp:') ? parseAddress(text.slice('tcp:'.length), true) : undefined;
  return address && { kind: 'tcp', ...address };
}

/** Whether a host name or address certainly means this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** host:port as it is written in the configuration. */
export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
