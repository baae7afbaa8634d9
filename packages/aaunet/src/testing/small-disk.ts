import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A file system of a few megabytes, for tests of full disks. */
export interface SmallDisk {
  /** Takes all the room that is left. */
  fill(): void;
  /** Gives it back. */
  free(): void;
  unmount(): void;
}

/** Why a test without one skips. */
export const NO_SMALL_DISK = 'needs Linux and the right to mount a file system';

/** Mounts one at an empty folder; null where this user may not. */
export function mountSmallDisk(folder: string, megabytes: number): SmallDisk | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null;
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return null;
  }
  const filler = join(folder, 'filler');
  return {
    fill: () => {
      for (const size of [2 ** 20, 4096]) {
        const chunk = Buffer.alloc(size);
        try {
          for (;;) writeFileSync(filler, chunk, { flag: 'a' });
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        }
      }
    },
    free: () => {
      rmSync(filler);
    },
    unmount: () => {
      execFileSync('umount', ['-l', folder]);
    },
  };
}
