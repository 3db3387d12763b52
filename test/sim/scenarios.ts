// The scenario files of test/scenarios: what an operator does and what status must say, and runs that once failed, which must come to a
// good end.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { generate } from '../../src/sim/generate.js';
import { runSeed } from '../../src/sim/run.js';
import { runScenario } from '../../src/sim/scenario.js';

t.setTimeout(890_000);

const DIRECTORY = join(import.meta.dirname, '..', '..', '..', 'test', 'scenarios');

for (const name of readdirSync(DIRECTORY).sort()) {
  t.test(`scenario ${name} goes as written`, { timeout: 890_000 }, async (t) => {
    const text = readFileSync(join(DIRECTORY, name), 'utf8');
    const outcome = await runScenario(text);
    t.equal(outcome.message, '', `line ${outcome.line}`);
    // A kept run is healed at its end, and judged.
    t.equal(outcome.expectations > 0, text.includes('\nexpect '), 'it expects something');
    t.ok(outcome.expectations > 0 || text.includes('\nknob seed='), 'or is a kept run');
  });
}

t.test('a scenario whose expectation does not hold, or whose knob does not exist, says in which line', { timeout: 890_000 }, async (t) => {
  const wrong = await runScenario('knob sites=1\nwait 10\nexpect a role=primary\nexpect a role=secondary\n');
  t.same([wrong.line, wrong.message], [4, 'scenario: a role is primary, expected secondary']);
  t.match(await runScenario('knob sights=1\n'), { line: 1, message: /no knob sights/ });
});

t.test('the same seed gives the same run, another seed another one', { timeout: 890_000 }, async (t) => {
  t.same(generate(5), generate(5));
  const [first, again, other] = [await runSeed(5), await runSeed(5), await runSeed(6)];
  t.equal(first.hash, again.hash);
  t.equal(first.events, again.events);
  t.not(first.hash, other.hash);
});
