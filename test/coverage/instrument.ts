// Puts counters into a compiled file, so that every branch that was taken leaves a mark. Exact where V8's own block counters are not: they
// do not show a condition that never was false, nor tell it from an exception.
//
// Branches are both ways of every condition (if, ?:, loops), of every operand that can decide (&& || ??) and of every ?. before a name or
// an index, and the beginning of every function, case, handler, loop over values, and default value.

import { type AnyNode, type Expression, type Node, parse } from 'acorn';

/** One way that a program can take. `what` holds its source text, so that it stays the same when lines move. */
export type Branch = { readonly line: number; readonly what: string };

/** A file with counters: it calls globalThis.lvrBranches(name, number of branches) for its marks (a Uint8Array). */
export type Instrumented = { readonly source: string; readonly branches: readonly Branch[] };

const TEXT_MAX = 100;
// On the first line, so that all lines keep their numbers.
const PROLOGUE = `const $t = (way, value) => { $marks[value ? way : way + 1] = 1; return value; };\
const $n = (way, value) => { $marks[value == null ? way : way + 1] = 1; return value; }; `;

/** Collects branches and the text to insert for them, in one walk. */
class Walk {
  readonly branches: Branch[] = [];
  readonly #edits: { readonly at: number; readonly text: string }[] = [];
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
    this.#visit(parse(source, { ecmaVersion: 2023, sourceType: 'module' }));
  }

  /** The source with all edits. Those at one place stand in the order in which they were made: outer ones open first and close last. */
  result(name: string): string {
    let text = `const $marks = globalThis.lvrBranches(${JSON.stringify(name)}, ${this.branches.length}); ${PROLOGUE}`;
    let from = 0;
    for (const edit of this.#edits.sort((a, b) => a.at - b.at)) {
      text += this.#source.slice(from, edit.at) + edit.text;
      from = edit.at;
    }
    return text + this.#source.slice(from);
  }

  #visit(node: Node): void {
    const close = this.#enter(node as AnyNode);
    const children = Object.values(node).flat().filter(isNode);
    for (const child of children.sort((a, b) => a.start - b.start)) this.#visit(child);
    for (const at of close) this.#edits.push({ at, text: ')' });
  }

  /** Opens what a node needs; returns where it must be closed after its children, innermost first. */
  #enter(node: AnyNode): number[] {
    switch (node.type) {
      case 'IfStatement':
      case 'ConditionalExpression':
      case 'WhileStatement':
      case 'DoWhileStatement':
        return this.#condition(node.test);
      case 'ForStatement':
        return node.test ? this.#condition(node.test) : [];
      case 'ForOfStatement':
      case 'CatchClause':
        return this.#begin(node, node.body);
      case 'LogicalExpression': {
        const way = this.#branch(node, node.operator === '??' ? 'nothing' : 'true', `left of ${this.#text(node)}`);
        this.#branch(node, node.operator === '??' ? 'something' : 'false', `left of ${this.#text(node)}`);
        return this.#wrap(node.left, `${node.operator === '??' ? '$n' : '$t'}(${way}, `);
      }
      case 'MemberExpression': {
        if (!node.optional) return [];
        const way = this.#branch(node, 'nothing', this.#text(node));
        this.#branch(node, 'something', this.#text(node));
        return this.#wrap(node.object, `$n(${way}, `);
      }
      case 'SwitchCase': {
        const first = node.consequent[0];
        if (first !== undefined)
          this.#edits.push({ at: first.start, text: `$t(${this.#branch(node, 'begun', this.#text(node.test ?? node))}, true);` });
        return [];
      }
      case 'AssignmentPattern':
        return this.#wrap(node.right, `($marks[${this.#branch(node, 'default', this.#text(node))}] = 1, `);
      case 'FunctionDeclaration':
      case 'FunctionExpression':
      case 'ArrowFunctionExpression':
        return this.#begin(node, node.body);
      default:
        return [];
    }
  }

  #condition(test: Expression): number[] {
    if (test.type === 'Literal') return [];
    const way = this.#branch(test, 'true', this.#text(test));
    this.#branch(test, 'false', this.#text(test));
    return this.#wrap(test, `$t(${way}, `);
  }

  #begin(node: Node, body: Node): number[] {
    const mark = `$marks[${this.#branch(node, 'begun', this.#text(node))}] = 1`;
    if (body.type.endsWith('Statement') && body.type !== 'BlockStatement') {
      this.#edits.push({ at: body.start, text: `{${mark};` }, { at: body.end, text: '}' });
      return [];
    }
    if (body.type !== 'BlockStatement') return this.#wrap(body, `(${mark}, `);
    this.#edits.push({ at: body.start + 1, text: `${mark};` });
    return [];
  }

  #wrap(node: Node, open: string): number[] {
    this.#edits.push({ at: node.start, text: open });
    return [node.end];
  }

  #branch(node: Node, way: string, text: string): number {
    this.branches.push({ line: this.#source.slice(0, node.start).split('\n').length, what: `${way}: ${text}` });
    return this.branches.length - 1;
  }

  #text(node: Node): string {
    const text = this.#source.slice(node.start, node.end).replace(/\s+/g, ' ');
    return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

/** Instruments one file, whose marks are kept under `name`. */
export function instrument(source: string, name: string): Instrumented {
  const walk = new Walk(source);
  return { source: walk.result(name), branches: walk.branches };
}
