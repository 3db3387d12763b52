// Control frames as messages: one decoder for all of them.

import { type FrameType, hasPayload } from './frame.js';
import {
  type Ack,
  type Compared,
  decodeAck,
  decodeBye,
  decodeCompared,
  decodeDurable,
  decodeHello,
  decodePlan,
  decodeRead,
  decodeReadRefused,
  decodeReady,
  decodeRefused,
  decodeRegionsDone,
  decodeResyncEnd,
  decodeTime,
  type Hello,
  type PlanMessage,
  type ReadMessage,
  type ReadRefused,
  type Refused,
  type ResyncEnd,
} from './wire.js';

/** What the control frames carry, by their type. */
type Values = {
  hello: Hello | { readonly protocol: number };
  plan: PlanMessage;
  ready: number;
  regionsDone: number;
  compared: Compared;
  resyncEnd: ResyncEnd;
  ack: Ack;
  read: ReadMessage;
  readRefused: ReadRefused;
  durable: number;
  ping: number;
  pong: number;
  refused: Refused;
  bye: { readonly reason: string };
};

/** A decoded control frame. */
export type ControlMessage = { [Type in keyof Values]: { readonly type: Type; readonly value: Values[Type] } }[keyof Values];

const DECODERS: { readonly [Type in keyof Values]: (bytes: Uint8Array) => Values[Type] | string } = {
  hello: decodeHello,
  plan: decodePlan,
  ready: decodeReady,
  regionsDone: decodeRegionsDone,
  compared: decodeCompared,
  resyncEnd: decodeResyncEnd,
  ack: decodeAck,
  read: decodeRead,
  readRefused: decodeReadRefused,
  durable: decodeDurable,
  ping: decodeTime,
  pong: decodeTime,
  refused: decodeRefused,
  bye: decodeBye,
};

/** Decodes a control frame; words when it is none, or not well-formed. */
export function decodeControl(type: FrameType, bytes: Uint8Array): ControlMessage | string {
  if (hasPayload(type)) return `${type} frame where a control frame was announced`;
  const value = DECODERS[type](bytes);
  return typeof value === 'string' ? value : ({ type, value } as ControlMessage);
}
