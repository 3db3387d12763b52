// Which files are measured.

/** Name of a measured file by its URL: core/… or format/…, compiled and not generated; undefined for all others. */
export function nameOf(url: string): string | undefined {
  const name = /\/dist\/src\/((?:core|format)\/[^/]+\.js)$/.exec(url)?.[1];
  return name?.endsWith('.gen.js') ? undefined : name;
}
