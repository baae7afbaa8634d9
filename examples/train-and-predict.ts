// The whole way in one file: phantoms, a training, its scores and an unseen patient's DICOM series outlined.
//   node examples/dist/train-and-predict.js OUT [STEPS]     with 20 steps, the default, it learns nothing yet
import { join } from 'node:path';

import { readDataset, readSplits, resolveTrainConfig, synthesize } from 'aaunet';
import { evaluateRun, predict, train } from 'aaunet/libtorch';

const [out, steps = '20'] = process.argv.slice(2);
if (out === undefined) throw new Error('Expected OUT');
const data = join(out, 'phantoms');
const run = join(out, 'run');

await synthesize(data, { cases: 12, size: 64, dicom: true });

const config = resolveTrainConfig({
  data,
  model: 'resnet18-unet',
  size: 64,
  batch: 4,
  epochs: 1,
  stepsPerEpoch: Number(steps),
});
await train(config, {
  run,
  onEvent: (event) => {
    if (event.type === 'step' && event.step % 10 === 0)
      console.log(`step ${event.step}: loss ${event.loss.toFixed(4)}`);
  },
});

const { mean } = await evaluateRun(run);
console.log(`pooled Dice, mean over ${mean.pooled.n} types: ${mean.pooled.dice?.toFixed(3) ?? 'none'}`);

// The training wrote which patients it left for testing.
const unseen = (await readSplits(await readDataset(data)))?.test[0] ?? '';
const { predictions } = await predict([join(data, 'dicom', unseen)], { model: run, out: join(out, 'prediction') });
for (const { folder } of predictions) console.log(`outlined: ${folder}`);
