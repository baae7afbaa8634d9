import { bindControls } from './controls.js';
import { element } from './elements.js';
import { bindGestures } from './gestures.js';
import { bindKeys } from './keys.js';
import { attempt, say } from './messages.js';
import { pageView } from './page-view.js';
import { Stage } from './stage.js';
import { Viewer } from './viewer.js';

// Controls, keys and gestures tell the viewer, which changes the session; stage and page show it.
const viewer = new Viewer(new Stage(element('canvas', HTMLCanvasElement)), pageView);
bindControls(viewer);
bindKeys(viewer);
bindGestures(viewer);
viewer.show();

async function start(): Promise<void> {
  if (!('serviceWorker' in navigator)) say('This browser keeps no copy of the page for work without a network.');
  else await navigator.serviceWorker.register('service-worker.js').catch(() => undefined);
  await viewer.stage.start();
  const served = await fetch('model.onnx').catch(() => undefined);
  if (served?.ok) viewer.loadModel(await served.blob());
}

attempt(start);
