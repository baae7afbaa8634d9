import { count, DISPLAY_WINDOWS, spacingOf, voxelToPatient } from '@aaunet/imaging';

import { box, button, check, element, input, select } from './elements.js';
import { showFindings, showTicks } from './findings-view.js';
import { isAssessed, mayEdit, mayLoad, mayOpen, mayRun, warningsOf, type Session } from './session.js';
import { isTrueToScale, type SeriesOffer, type Study } from './study.js';
import type { View } from './viewer.js';

function paragraph(text: string, kind: string): HTMLParagraphElement {
  const made = document.createElement('p');
  made.className = kind;
  made.textContent = text;
  return made;
}

function studyText({ name, source, scan }: Study): string {
  const { columns, rows, slices, affine } = scan;
  const spacing = spacingOf(affine).map((mm) => mm.toFixed(2));
  return `${name}: ${count(slices, 'slice')} of ${columns} x ${rows}, ${spacing.join(' x ')} mm, ${source === 'dicom' ? 'DICOM' : 'NIfTI'}.`;
}

function showModel({ model, study }: Session): void {
  box('model-name').textContent = model ? model.info.name : 'No network';
  const lines = model
    ? [
        `${model.info.name}, ${model.info.size} x ${model.info.size}, ${model.info.precision}, on ${model.backend}. Weights ${model.info.sha256.slice(0, 12)}.`,
        ...model.notes,
      ]
    : ['None. Choose an ONNX file that "aaunet export" wrote, or serve one with "aaunet serve --model".'];
  box('model-text').replaceChildren(...lines.map((line) => paragraph(line, 'quiet')));
  button('run').title = model ? (study ? '' : 'Open a scan first') : 'Choose a network first';
}

function showProgress({ run, study }: Session): void {
  box('progress-box').hidden = run === undefined;
  if (!run || !study) return;
  const [done, total] = [run.done.size, study.scan.slices];
  element('progress', HTMLProgressElement).value = done / total;
  const each = (performance.now() - run.started) / done / 1000;
  box('progress-text').textContent =
    done === 0
      ? `0 of ${total} slices`
      : `${done} of ${total} slices, ${Math.ceil(each * (total - done))} s left (${each.toFixed(1)} s a slice)`;
}

function showSeries({ options, chosen }: SeriesOffer): void {
  box('series-box').hidden = options.length < (chosen === undefined ? 1 : 2);
  const blank = chosen === undefined ? [new Option('Choose one', '', true, true)] : [];
  for (const option of blank) option.disabled = true;
  select('series').replaceChildren(
    ...blank,
    ...options.map(({ selector, name }) => new Option(name, selector, false, selector === chosen)),
  );
}

export const pageView: View = {
  show(session) {
    const { study, editor, run } = session;
    const isOpen = mayEdit(session);
    box('welcome').hidden = study !== undefined;
    box('place').hidden = box('values').hidden = study === undefined;
    input('slice').disabled = study === undefined;
    input('slice').max = String(study?.scan.slices ?? 1);
    for (const id of ['open-folder', 'open-file']) button(id).disabled = !mayOpen(session);
    select('series').disabled = !mayOpen(session);
    button('open-model').disabled = !mayLoad(session);
    button('run').disabled = !mayRun(session);
    button('cancel').hidden = run === undefined;
    button('undo').disabled = !isOpen || !editor?.canUndo;
    button('redo').disabled = !isOpen || !editor?.canRedo;
    for (const id of ['save-nifti', 'save-report']) button(id).disabled = !isOpen;
    button('save-seg').disabled = study?.source !== 'dicom' || !isOpen || !isAssessed(session);
    button('save-seg').title =
      study?.source === 'nifti'
        ? 'Of DICOM scans alone: it refers to their slices'
        : 'What network or hand have outlined, once they have';
    box('study-text').textContent = study ? studyText(study) : 'None open.';
    box('warnings').replaceChildren(...warningsOf(session).map((text) => paragraph(text, 'notice')));
    showSeries(session.series);
    showModel(session);
    showProgress(session);
    showFindings(session);
    showTicks(session);
    pageView.showPlace(session);
  },

  showPlace({ study, slice, window, layout }) {
    input('center').value = String(Math.round(window.center));
    input('width').value = String(Math.round(window.width));
    for (const [name, { center, width }] of Object.entries(DISPLAY_WINDOWS)) {
      check('window', name, center === window.center && width === window.width);
    }
    box('distorted').hidden = layout !== 'planes' || study === undefined || isTrueToScale(study.scan);
    if (!study) return;
    const { slices, affine, positions } = study.scan;
    const height = positions?.[slice]?.[2] ?? voxelToPatient(affine, 0, 0, slice)[2];
    input('slice').value = String(slice + 1);
    input('slice').setAttribute('aria-valuetext', `slice ${slice + 1} of ${slices}`);
    box('slice-text').textContent = `${slice + 1} / ${slices}`;
    box('place').textContent = `Slice ${slice + 1} / ${slices}\nz ${height.toFixed(1)} mm`;
    box('values').textContent = `WL ${Math.round(window.center)}\nWW ${Math.round(window.width)}`;
  },
};
