export type { Affine, Volume, VoxelArray } from './volume.js';
