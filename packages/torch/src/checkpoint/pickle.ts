/** What a pickle may hold here: plain data, and what the callers' functions made. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleTuple
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickleGlobal
  | object;

/** Python's tuple, to be told from a list. */
export class PickleTuple<T extends PickleValue = PickleValue> {
  constructor(readonly items: readonly T[]) {}
}

/** A name that the pickle imports: looked up in a table, never executed. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

export interface PickleRules {
  /** The functions and classes that a pickle may call, by their full name, and what stands in for them. */
  readonly calls: ReadonlyMap<string, (...args: PickleValue[]) => PickleValue>;
  /** Names that a pickle may mention but not call. */
  readonly names: ReadonlySet<string>;
  /** What a persistent identifier stands for. */
  readonly persistent: (id: PickleValue) => PickleValue;
}

const MARK = Symbol('mark');
type Stacked = PickleValue | typeof MARK;

const HIGHEST_PROTOCOL = 5;
/** Longest integer read, in bytes. */
const MAX_INTEGER = 64;

/**
 * Reads a pickle of protocol 2 to 5 as data. Nothing in it is executed: what it would import is looked up in the rules, and
 * anything else is refused by name. Dictionaries become maps; state set on an object is dropped.
 *
 * @throws in part of a sentence at the first thing that is not allowed, unknown or cut off.
 */
export function unpickle(bytes: Uint8Array, rules: PickleRules): PickleValue {
  return new Unpickler(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), rules).run();
}

class Unpickler {
  private at = 0;
  private readonly stack: Stacked[] = [];
  private readonly memo = new Map<number, PickleValue>();

  constructor(
    private readonly bytes: Buffer,
    private readonly rules: PickleRules,
  ) {}

  run(): PickleValue {
    for (;;) {
      const code = this.take(1)[0]!;
      if (code === STOP) return this.pop();
      const operation = OPERATIONS.get(code);
      if (!operation)
        throw new Error(`it has the unknown pickle operation 0x${code.toString(16)} at byte ${this.at - 1}`);
      operation(this);
    }
  }

  take(length: number): Buffer {
    if (length > this.bytes.length - this.at) throw new Error(`its pickle ends within ${length} bytes at ${this.at}`);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new Error('its pickle ends within a line');
    const text = this.bytes.toString('utf8', this.at, end);
    this.at = end + 1;
    return text;
  }

  uint8(): number {
    return this.take(1)[0]!;
  }

  uint32(): number {
    return this.take(4).readUInt32LE();
  }

  length64(): number {
    const value = this.take(8).readBigUInt64LE();
    if (value > BigInt(this.bytes.length)) throw new Error(`its pickle ends within ${value} bytes at ${this.at}`);
    return Number(value);
  }

  push(value: PickleValue): this {
    this.stack.push(value);
    return this;
  }

  pushMark(): this {
    this.stack.push(MARK);
    return this;
  }

  pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined || value === MARK)
      throw new Error('its pickle takes more from the stack than it put there');
    return value;
  }

  peek(): PickleValue {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  /** Pops what lies above the last mark. */
  popToMark(): PickleValue[] {
    const mark = this.stack.lastIndexOf(MARK);
    if (mark < 0) throw new Error('its pickle lacks a mark');
    return this.stack.splice(mark).slice(1) as PickleValue[];
  }

  tuple(length: number): this {
    const items = Array.from({ length }, () => this.pop()).reverse();
    return this.push(new PickleTuple(items));
  }

  remember(index: number): this {
    this.memo.set(index, this.peek());
    return this;
  }

  rememberNext(): this {
    return this.remember(this.memo.size);
  }

  recall(index: number): this {
    const value = this.memo.get(index);
    if (value === undefined) throw new Error(`its pickle recalls value ${index}, which it never stored`);
    return this.push(value);
  }

  append(items: readonly PickleValue[]): this {
    const list = this.peek();
    if (!Array.isArray(list)) throw new Error('its pickle appends to what is no list');
    for (const item of items) list.push(item);
    return this;
  }

  setItems(items: readonly PickleValue[]): this {
    const target = this.peek();
    if (!(target instanceof Map) || items.length % 2 !== 0) throw new Error('its pickle sets items of what is no dict');
    for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
    return this;
  }

  importName(module: string, name: string): this {
    const full = `${module}.${name}`;
    if (!this.rules.calls.has(full) && !this.rules.names.has(full))
      throw new Error(`it wants to import ${JSON.stringify(full)}, and only tensors in plain containers are read`);
    return this.push(new PickleGlobal(full));
  }

  call(): this {
    const args = this.pop();
    const callee = this.pop();
    const target = callee instanceof PickleGlobal ? this.rules.calls.get(callee.name) : undefined;
    if (!target || !(args instanceof PickleTuple))
      throw new Error(`it wants to call ${callee instanceof PickleGlobal ? callee.name : 'what is no function'}`);
    return this.push(target(...args.items));
  }

  persistent(): this {
    return this.push(this.rules.persistent(this.pop()));
  }
}

const STOP = 0x2e;

type Operation = (state: Unpickler) => unknown;

const text = (state: Unpickler, length: number): unknown => state.push(state.take(length).toString('utf8'));

const bytes = (state: Unpickler, length: number): unknown => state.push(new Uint8Array(state.take(length)));

/** Little-endian two's complement. */
function integer(state: Unpickler, length: number): unknown {
  if (length > MAX_INTEGER) throw new Error(`its pickle has an integer of ${length} bytes`);
  const digits = Buffer.from(state.take(length)).reverse().toString('hex');
  const value = length === 0 ? 0n : BigInt.asIntN(8 * length, BigInt(`0x${digits}`));
  const number = Number(value);
  return state.push(Number.isSafeInteger(number) ? number : value);
}

const decimal: Operation = (state) => {
  const line = state.line();
  if (line === '00' || line === '01') return state.push(line === '01');
  if (/^-?\d{1,15}L?$/.test(line)) return state.push(Number(line.replace('L', '')));
  throw new Error(`its pickle has the integer ${JSON.stringify(line.slice(0, 40))}`);
};

const protocol: Operation = (state) => {
  const version = state.uint8();
  if (version > HIGHEST_PROTOCOL)
    throw new Error(`it is a pickle of protocol ${version}, newer than ${HIGHEST_PROTOCOL}`);
};

const dict: Operation = (state) => {
  const items = state.popToMark();
  return state.push(new Map()).setItems(items);
};

const setItem: Operation = (state) => {
  const value = state.pop();
  const key = state.pop();
  return state.setItems([key, value]);
};

const globalOnStack: Operation = (state) => {
  const name = state.pop();
  const module = state.pop();
  if (typeof module !== 'string' || typeof name !== 'string') throw new Error('it wants to import what is no name');
  return state.importName(module, name);
};

/** The operations of protocols 0 to 5 that data needs; names are Python's (pickletools). */
const OPERATIONS = new Map<number, Operation>([
  [0x80, protocol], // PROTO
  [0x95, (s) => s.length64()], // FRAME
  [0x28, (s) => s.pushMark()], // MARK
  [0x30, (s) => s.pop()], // POP
  [0x31, (s) => s.popToMark()], // POP_MARK
  [0x32, (s) => s.push(s.peek())], // DUP
  [0x4e, (s) => s.push(null)], // NONE
  [0x88, (s) => s.push(true)], // NEWTRUE
  [0x89, (s) => s.push(false)], // NEWFALSE
  [0x49, decimal], // INT
  [0x4c, decimal], // LONG
  [0x4a, (s) => s.push(s.take(4).readInt32LE())], // BININT
  [0x4b, (s) => s.push(s.uint8())], // BININT1
  [0x4d, (s) => s.push(s.take(2).readUInt16LE())], // BININT2
  [0x8a, (s) => integer(s, s.uint8())], // LONG1
  [0x8b, (s) => integer(s, s.uint32())], // LONG4
  [0x46, (s) => s.push(Number(s.line()))], // FLOAT
  [0x47, (s) => s.push(s.take(8).readDoubleBE())], // BINFLOAT
  [0x58, (s) => text(s, s.uint32())], // BINUNICODE
  [0x8c, (s) => text(s, s.uint8())], // SHORT_BINUNICODE
  [0x8d, (s) => text(s, s.length64())], // BINUNICODE8
  [0x54, (s) => text(s, s.uint32())], // BINSTRING
  [0x55, (s) => text(s, s.uint8())], // SHORT_BINSTRING
  [0x42, (s) => bytes(s, s.uint32())], // BINBYTES
  [0x43, (s) => bytes(s, s.uint8())], // SHORT_BINBYTES
  [0x8e, (s) => bytes(s, s.length64())], // BINBYTES8
  [0x5d, (s) => s.push([])], // EMPTY_LIST
  [0x6c, (s) => s.push(s.popToMark())], // LIST
  [0x61, (s) => s.append([s.pop()])], // APPEND
  [0x65, (s) => s.append(s.popToMark())], // APPENDS
  [0x29, (s) => s.tuple(0)], // EMPTY_TUPLE
  [0x85, (s) => s.tuple(1)], // TUPLE1
  [0x86, (s) => s.tuple(2)], // TUPLE2
  [0x87, (s) => s.tuple(3)], // TUPLE3
  [0x74, (s) => s.push(new PickleTuple(s.popToMark()))], // TUPLE
  [0x7d, (s) => s.push(new Map())], // EMPTY_DICT
  [0x64, dict], // DICT
  [0x73, setItem], // SETITEM
  [0x75, (s) => s.setItems(s.popToMark())], // SETITEMS
  [0x70, (s) => s.remember(Number(s.line()))], // PUT
  [0x71, (s) => s.remember(s.uint8())], // BINPUT
  [0x72, (s) => s.remember(s.uint32())], // LONG_BINPUT
  [0x94, (s) => s.rememberNext()], // MEMOIZE
  [0x67, (s) => s.recall(Number(s.line()))], // GET
  [0x68, (s) => s.recall(s.uint8())], // BINGET
  [0x6a, (s) => s.recall(s.uint32())], // LONG_BINGET
  [0x63, (s) => s.importName(s.line(), s.line())], // GLOBAL
  [0x93, globalOnStack], // STACK_GLOBAL
  [0x52, (s) => s.call()], // REDUCE
  [0x62, (s) => s.pop()], // BUILD: attributes such as a state dict's _metadata
  [0x51, (s) => s.persistent()], // BINPERSID
]);
