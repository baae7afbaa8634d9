import { formatMl, labelById, LABELS } from '@aaunet/imaging';

import { box, element } from './elements.js';
import { bloodMl, findingsOf, isAssessed, type Finding, type Session } from './session.js';

/** What a user asks for in the table of findings. */
export interface FindingsActions {
  readonly goTo: (slice: number) => void;
  readonly toggleType: (id: number, isShown: boolean) => void;
}

/** Builds the table's rows, one for each type. */
export function bindFindings(session: () => Readonly<Session>, actions: FindingsActions): void {
  const rows = LABELS.map(({ id, name, title, color }) => {
    const row = document.createElement('tr');
    const label = document.createElement('label');
    const toggle = document.createElement('input');
    toggle.type = 'checkbox';
    toggle.addEventListener('change', () => {
      actions.toggleType(id, toggle.checked);
    });
    const swatch = document.createElement('span');
    swatch.className = 'swatch';
    swatch.style.background = `rgb(${color.join()})`;
    label.append(toggle, swatch, name);
    label.title = title;
    const jump = document.createElement('button');
    jump.type = 'button';
    jump.addEventListener('click', () => {
      const slice = session().editor?.fullestSlice(id);
      if (slice !== undefined) actions.goTo(slice);
    });
    row.insertCell().append(label);
    row.insertCell();
    row.insertCell().append(jump);
    return row;
  });
  body().append(...rows);
}

const body = (): HTMLTableSectionElement => element('findings', HTMLTableElement).tBodies[0]!;

const amount = ({ ml, isAssessed: isKnown }: Finding): string => (ml > 0 || isKnown ? formatMl(ml) : 'not assessed');

export function showFindings(session: Session): void {
  const findings = findingsOf(session);
  const isKnown = isAssessed(session);
  for (const [index, finding] of findings.entries()) {
    const { id, name, slice } = finding;
    const row = body().rows[index]!;
    row.classList.toggle('none', finding.ml === 0);
    row.querySelector('input')!.checked = !session.hidden.has(id);
    row.cells[1]!.textContent = isKnown ? amount(finding) : '–';
    const jump = row.querySelector('button')!;
    jump.hidden = slice === undefined;
    jump.textContent = slice === undefined ? '' : String(slice + 1);
    jump.setAttribute('aria-label', `Go to slice ${(slice ?? 0) + 1} with most ${name}`);
  }
  box('total').textContent = isKnown ? `${formatMl(bloodMl(findings))} mL of blood` : '';
}

/** Where in the study there is something: a tick of each type's colour over the slider. */
export function showTicks({ editor, study }: Session): void {
  const canvas = element('ticks', HTMLCanvasElement);
  canvas.width = canvas.clientWidth * devicePixelRatio;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  const context = canvas.getContext('2d')!;
  if (!editor || !study) return;
  const { slices } = study.scan;
  const wide = canvas.width / slices;
  for (let k = 0; k < slices; k++) {
    const found = LABELS.filter(({ id }) => editor.count(k, id) > 0);
    found.forEach(({ id }, index) => {
      context.fillStyle = `rgb(${labelById(id).color.join()})`;
      const high = canvas.height / found.length;
      context.fillRect(k * wide + 1, index * high, Math.max(1, wide - 2), high);
    });
  }
}
