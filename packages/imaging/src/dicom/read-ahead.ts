import type { FileSource } from './scan.js';

/** Slices whose files are read ahead of the decoder. */
const SLICES_AHEAD = 3;

/** Reads the files of slices in their order, a few ahead; a file of neighbouring slices is read once for them all. */
export class ReadAhead {
  readonly #sources: readonly FileSource[];
  /** Files asked for, the one of the slice before or of the next slice first. */
  readonly #files: { readonly source: FileSource; readonly bytes: Promise<Uint8Array> }[] = [];
  /** Memory that a decoded file no longer needs serves the next one: fresh pages cost as much as reading does. */
  readonly #spare: ArrayBuffer[] = [];
  #asked = 0;
  #given = 0;

  /** @param sources the file of each slice */
  constructor(sources: readonly FileSource[]) {
    this.#sources = sources;
  }

  /** The whole file of the next slice, to be used before the one after it is asked for; throws where it cannot be read. */
  async next(): Promise<Uint8Array> {
    const source = this.#sources[this.#given];
    this.#ask(this.#given + SLICES_AHEAD);
    this.#given++;
    while (this.#files[0]!.source !== source) await this.#leave();
    return this.#files[0]!.bytes;
  }

  #ask(until: number): void {
    for (; this.#asked < Math.min(until, this.#sources.length); this.#asked++) {
      const source = this.#sources[this.#asked]!;
      if (source === this.#sources[this.#asked - 1]) continue;
      const bytes = source.read(undefined, this.#spare.pop()).then((read) => read.bytes);
      // Awaited in its turn; until then a failure is no unhandled one.
      bytes.catch(() => undefined);
      this.#files.push({ source, bytes });
    }
  }

  async #leave(): Promise<void> {
    const done = await this.#files.shift()!.bytes.catch(() => undefined);
    if (done !== undefined && done.buffer instanceof ArrayBuffer) this.#spare.push(done.buffer);
  }
}
