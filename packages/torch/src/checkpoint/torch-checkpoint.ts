import fs from 'node:fs';

import { wrongBool } from '../bool-bytes.js';
import { PickleGlobal, PickleTuple, unpickle, type PickleRules, type PickleValue } from './pickle.js';
import { listStoredEntries, readExactly, type StoredEntry } from './stored-zip.js';

const STORAGES = {
  'torch.FloatStorage': { dtype: 'float32', itemSize: 4 },
  'torch.DoubleStorage': { dtype: 'float64', itemSize: 8 },
  'torch.HalfStorage': { dtype: 'float16', itemSize: 2 },
  'torch.BFloat16Storage': { dtype: 'bfloat16', itemSize: 2 },
  'torch.LongStorage': { dtype: 'int64', itemSize: 8 },
  'torch.IntStorage': { dtype: 'int32', itemSize: 4 },
  'torch.ShortStorage': { dtype: 'int16', itemSize: 2 },
  'torch.CharStorage': { dtype: 'int8', itemSize: 1 },
  'torch.ByteStorage': { dtype: 'uint8', itemSize: 1 },
  'torch.BoolStorage': { dtype: 'bool', itemSize: 1 },
} as const;

type Storage = (typeof STORAGES)[keyof typeof STORAGES];
export type StoredDtype = Storage['dtype'];

/** A tensor of a checkpoint: what is known of it before its elements are read. */
export interface StoredTensor {
  readonly dtype: StoredDtype;
  readonly itemSize: number;
  readonly shape: readonly number[];
  /** In elements. */
  readonly stride: readonly number[];
  /** Where in the file its first element stands. */
  readonly position: number;
  /** Elements from the first to the last, those between them included. */
  readonly span: number;
}

/** Largest pickle read: of a state dict it is some hundred bytes a tensor. */
const MAX_PICKLE = 256 * 2 ** 20;
const MAX_DIMENSIONS = 16;
/** Keys under which training scripts keep the weights among other things. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'net', 'network', 'module'] as const;

/** The elements' memory of tensors, as the pickle names it. */
class StorageRef {
  constructor(
    readonly kind: Storage,
    readonly entry: StoredEntry,
    readonly count: number,
  ) {}
}

class TensorRef implements StoredTensor {
  constructor(
    readonly dtype: StoredDtype,
    readonly itemSize: number,
    readonly shape: readonly number[],
    readonly stride: readonly number[],
    readonly position: number,
    readonly span: number,
  ) {}
}

/**
 * An open PyTorch checkpoint (`torch.save` since 1.6): the tensors of its state dict by name, which stands alone or in a
 * dictionary under `state_dict`, `model` and the like. Nothing in the file is executed. Close it, or declare it with `using`.
 * Throws one sentence with the file's name where the file is not what it should be, before anything is allocated.
 */
export class TorchCheckpoint implements Disposable {
  readonly #descriptor: number;

  private constructor(
    readonly path: string,
    descriptor: number,
    readonly tensors: ReadonlyMap<string, StoredTensor>,
  ) {
    this.#descriptor = descriptor;
  }

  static open(path: string): TorchCheckpoint {
    let descriptor: number;
    try {
      // Without O_NONBLOCK, opening a named pipe would wait for ever.
      descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    } catch (error) {
      throw new Error(`Cannot open the checkpoint ${path}: ${(error as Error).message}.`, { cause: error });
    }
    try {
      return new TorchCheckpoint(path, descriptor, readTensors(descriptor));
    } catch (error) {
      fs.closeSync(descriptor);
      throw new Error(`${path} is not a PyTorch checkpoint that can be read: ${(error as Error).message}.`, {
        cause: error,
      });
    }
  }

  /** Reads the elements of a tensor's span into `into`, which has exactly its length. */
  read(tensor: StoredTensor, into: Uint8Array): void {
    const expected = tensor.span * tensor.itemSize;
    if (into.byteLength !== expected)
      throw new RangeError(`Expected a buffer of ${expected} bytes, got one of ${into.byteLength}.`);
    for (let done = 0; done < expected;) {
      const got = fs.readSync(this.#descriptor, into, done, expected - done, tensor.position + done);
      if (got === 0) throw new Error(`${this.path} became shorter while it was read.`);
      done += got;
    }
    const wrong = tensor.dtype === 'bool' ? wrongBool(into) : undefined;
    if (wrong !== undefined) throw new Error(`${this.path}: expected the bytes 0 or 1 of bools, found ${wrong}.`);
  }

  [Symbol.dispose](): void {
    fs.closeSync(this.#descriptor);
  }
}

function readTensors(descriptor: number): Map<string, StoredTensor> {
  const stat = fs.fstatSync(descriptor);
  if (!stat.isFile()) throw new Error('it is not a file');
  const start = readExactly(descriptor, 0, Math.min(4, stat.size));
  if (start[0] === 0x80)
    throw new Error('it has the form of PyTorch before 1.6; load it there and save it again with torch.save');
  if (start.toString('latin1') !== 'PK\x03\x04') throw new Error('it is no zip archive');
  const entries = listStoredEntries(descriptor);
  const pickles = [...entries.values()].filter(({ name }) => /^([^/]*\/)?data\.pkl$/.test(name));
  const pickle = pickles[0];
  if (pickles.length !== 1 || !pickle) throw new Error(`it holds ${pickles.length} files data.pkl in place of one`);
  const folder = pickle.name.slice(0, -'data.pkl'.length);
  if (entries.has(`${folder}constants.pkl`))
    throw new Error('it is a TorchScript program; save the state_dict() of the model in its place');
  const order = entries.get(`${folder}byteorder`);
  if (order && readExactly(descriptor, order.start, Math.min(order.size, 16)).toString() !== 'little')
    throw new Error('its numbers are not little-endian');
  if (pickle.size > MAX_PICKLE) throw new Error(`its data.pkl has ${pickle.size} bytes, more than ${MAX_PICKLE}`);
  const root = unpickle(readExactly(descriptor, pickle.start, pickle.size), rules(entries, folder));
  const tensors = stateDictOf(root);
  const bytes = [...tensors.values()].reduce((sum, { span, itemSize }) => sum + span * itemSize, 0);
  // Views of one storage are read apart; few are in a real state dict.
  if (bytes > 2 * stat.size) throw new Error(`its tensors are ${bytes} bytes, and the file has ${stat.size}`);
  return tensors;
}

/** What a state dict's pickle may import: names of PyTorch and Python that stand for data. */
function rules(entries: ReadonlyMap<string, StoredEntry>, folder: string): PickleRules {
  return {
    calls: new Map<string, (...args: PickleValue[]) => PickleValue>([
      // Its items are set one by one.
      ['collections.OrderedDict', () => new Map<PickleValue, PickleValue>()],
      ['torch._utils._rebuild_tensor_v2', (...args) => rebuildTensor(args)],
      ['torch._utils._rebuild_parameter', (tensor) => tensor ?? null],
      ['torch.Size', (sizes) => sizes ?? new PickleTuple([])],
    ]),
    names: new Set(Object.keys(STORAGES)),
    persistent: (id) => storageOf(id, entries, folder),
  };
}

/** `('storage', type, key, location, count)`. */
function storageOf(id: PickleValue, entries: ReadonlyMap<string, StoredEntry>, folder: string): StorageRef {
  const [tag, type, key, , count] = id instanceof PickleTuple ? id.items : [];
  if (tag !== 'storage' || !(type instanceof PickleGlobal) || typeof key !== 'string' || !isCount(count))
    throw new Error('it refers to a storage in an unknown way');
  const kind = (STORAGES as Record<string, Storage>)[type.name];
  if (!kind) throw new Error(`it has a storage of type ${type.name}`);
  const entry = entries.get(`${folder}data/${key}`);
  if (!entry) throw new Error(`its storage ${JSON.stringify(key)} is missing`);
  if (entry.size !== count * kind.itemSize)
    throw new Error(
      `its storage ${JSON.stringify(key)} has ${entry.size} bytes, expected ${count * kind.itemSize} for ${count} of ${kind.dtype}`,
    );
  return new StorageRef(kind, entry, count);
}

/** `(storage, offset, size, stride, requires_grad, backward_hooks)`. */
function rebuildTensor([storage, offset, size, stride]: readonly PickleValue[]): TensorRef {
  if (!(storage instanceof StorageRef) || !isCount(offset) || !isCounts(size) || !isCounts(stride))
    throw new Error('it has a tensor without storage, offset, size and stride');
  const [shape, strides] = [size.items, stride.items];
  if (shape.length !== strides.length || shape.length > MAX_DIMENSIONS)
    throw new Error(`it has a tensor of ${shape.length} sizes and ${strides.length} strides`);
  const described = `its tensor of size [${shape.join(', ')}] and stride [${strides.join(', ')}]`;
  const count = shape.reduce((product, length) => product * length, 1);
  const span = count === 0 ? 0 : shape.reduce((sum, length, i) => sum + (length - 1) * strides[i]!, 1);
  if (!(offset + span <= storage.count))
    throw new Error(`${described} at ${offset} reaches beyond the ${storage.count} elements of its storage`);
  if (count > span) throw new Error(`${described} repeats elements, which weights never do`);
  const { dtype, itemSize } = storage.kind;
  return new TensorRef(dtype, itemSize, shape, strides, storage.entry.start + offset * itemSize, span);
}

function isCount(value: PickleValue | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: PickleValue | undefined): value is PickleTuple<number> {
  return value instanceof PickleTuple && value.items.every(isCount);
}

/** The dictionary of tensors: the whole, or where a training script put it. */
function stateDictOf(root: PickleValue): Map<string, StoredTensor> {
  if (!(root instanceof Map)) throw new Error('it holds no dictionary of tensors; save the state_dict() of the model');
  const wrapped = WRAPPERS.map((key) => root.get(key)).find((value) => value instanceof Map);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, value] of wrapped ?? root)
    if (typeof name === 'string' && value instanceof TensorRef) tensors.set(name, value);
  if (tensors.size === 0) throw new Error('there is no tensor in its dictionary; save the state_dict() of the model');
  return tensors;
}
