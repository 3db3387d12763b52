// Scenario files: a script (script.ts) with knobs in front and expected states between its lines. A file without expectations, as a shrunk
// failure is printed, is run with healing and convergence at its end.
//
//   # comment         knob NAME=VALUE          expect SITE KEY=VALUE...          fault ... in front of everything: meets the first start
//
// Keys of expect: up, role, health, image, epoch, appended, durable, applied, trimmed, refused (code of a refused start), failure (code),
// waiting (requests without an answer), and for the site x: x.session, x.replication, x.code, x.rule, x.mode,
// x.acked, x.lagIos, x.tracking, x.dirty.

import { plainKnobs, setKnob } from './knobs.js';
import { finish, runLines } from './run.js';
import { Script } from './script.js';
import type { SimSite } from './site.js';
import { Violation } from './violation.js';

/** What came of a scenario; an empty message is success. */
export type ScenarioOutcome = { readonly line: number; readonly message: string; readonly expectations: number };

/** Runs the text of a scenario file. */
export async function runScenario(text: string): Promise<ScenarioOutcome> {
  const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim());
  const knobs = plainKnobs(1);
  let problem: string | undefined;
  let at = 0;
  for (; at < lines.length && problem === undefined; at++) {
    const line = lines[at] as string;
    if (line.startsWith('knob ')) problem = setKnob(knobs, line.slice(5));
    else if (line !== '') break;
  }
  if (problem !== undefined) return { line: at, message: problem, expectations: 0 };
  if (!lines.some((line) => line.startsWith('expect '))) {
    const found = await runLines(
      knobs,
      lines.slice(at).filter((line) => line !== ''),
    );
    return { line: at + found.lines, message: found.message, expectations: 0 };
  }
  const script = new Script(knobs);
  let expectations = 0;
  const result = await finish(script, async () => {
    for (; (lines[at] ?? '').startsWith('fault ') || lines[at] === ''; at++) if (lines[at] !== '') await script.line(lines[at] as string);
    await script.begin();
    for (; at < lines.length; at++) {
      const line = lines[at] as string;
      if (line === '') continue;
      if (!line.startsWith('expect ')) await script.line(line);
      else {
        expectations++;
        expect(script, line.split(/\s+/).slice(1));
      }
    }
  });
  return { line: at + 1, message: result?.message ?? '', expectations };
}

function expect(script: Script, [name = '', ...pairs]: readonly string[]): void {
  const site = script.world.site(name);
  const facts = factsOf(script, site);
  for (const pair of pairs) {
    const [key = '', value = ''] = pair.split('=');
    const found = String(facts[key]);
    if (found !== value) throw new Violation('scenario', `${name} ${key} is ${found}, expected ${value}`);
  }
}

function factsOf(script: Script, site: SimSite): Record<string, unknown> {
  if (!site.isUp) return { up: false, refused: script.refusals.get(site.name)?.code ?? '' };
  const status = site.group.status();
  const { appendedLsn, durableLsn, appliedLsn, trimmedLsn } = status.log;
  const facts: Record<string, unknown> = {
    up: true,
    role: status.role,
    health: status.health,
    image: status.image,
    epoch: status.epoch,
    appended: appendedLsn,
    durable: durableLsn,
    applied: appliedLsn,
    trimmed: trimmedLsn,
    failure: site.group.failure?.code ?? '',
    waiting: script.waitingAt(site),
  };
  for (const other of status.sites) {
    facts[`${other.site}.session`] = other.session;
    facts[`${other.site}.replication`] = other.replication;
    facts[`${other.site}.code`] = site.group.links.get(other.site)?.state().code;
    facts[`${other.site}.rule`] = other.rule;
    facts[`${other.site}.mode`] = other.effectiveMode;
    facts[`${other.site}.acked`] = other.ackedLsn;
    facts[`${other.site}.lagIos`] = other.lagIos;
    facts[`${other.site}.tracking`] = other.tracking;
    facts[`${other.site}.dirty`] = other.dirtyBytes > 0;
  }
  return facts;
}
