import { type FileHandle, open } from 'node:fs/promises';

interface Entry {
  readonly handle: Promise<FileHandle>;
  users: number;
}

/** Keeps files open between reads, the least recently used ones closed beyond a limit (processes may have few hundred). */
export class HandlePool {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly limit = 256) {}

  /** Runs `read` with the open file. @throws whatever opening or reading throws. */
  async use<T>(path: string, read: (handle: FileHandle) => Promise<T>): Promise<T> {
    let entry = this.entries.get(path);
    if (entry) this.entries.delete(path);
    else entry = { handle: open(path, 'r'), users: 0 };
    // A map iterates in order of insertion: last in is last used.
    this.entries.set(path, entry);
    entry.users++;
    try {
      return await read(await entry.handle);
    } catch (error) {
      if (
        await entry.handle.then(
          () => false,
          () => true,
        )
      )
        this.entries.delete(path);
      throw error;
    } finally {
      entry.users--;
      await this.evict();
    }
  }

  private async evict(): Promise<void> {
    for (const [path, entry] of this.entries) {
      if (this.entries.size <= this.limit) return;
      if (entry.users > 0) continue;
      this.entries.delete(path);
      await (await entry.handle).close();
    }
  }

  /** Closes all files; reads under way must have ended. */
  async close(): Promise<void> {
    const entries = [...this.entries.values()];
    this.entries.clear();
    await Promise.all(entries.map(async ({ handle }) => (await handle).close()));
  }
}
