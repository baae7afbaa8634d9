export { AdamW, type AdamWOptions } from './adamw.js';
export { clipGradNorm } from './clip.js';
export { GradScaler } from './grad-scaler.js';
export { constant, cyclic, type Schedule } from './schedule.js';
