import { readFileSync } from 'node:fs';
import { z } from 'zod';

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));

/** Version of this package. */
export const VERSION = version;
/** Program and version as results name them. */
export const SOFTWARE = `aaunet ${version}`;
