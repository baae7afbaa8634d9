// Writes src/aten.gen.ts for the LibTorch at hand: npm run generate -w @aaunet/torch
import { writeFileSync } from 'node:fs';

import { native } from '../native.js';
import { generateAtenTypes } from './generate.js';

const target = new URL('../../src/aten.gen.ts', import.meta.url);
writeFileSync(target, generateAtenTypes(native.schemas(), native.info().libtorch));
