/** Where progress is shown; `process.stderr` fits. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface ProgressOptions {
  readonly label: string;
  /** Steps in all; 0 where unknown. */
  readonly total: number;
  /** What a step is, in the plural ("slices"). */
  readonly unit: string;
  readonly stream: ProgressStream;
  /** Milliseconds that never go back; replaced in tests. */
  readonly now?: (() => number) | undefined;
}

/** Plain lines come no more often than this, so that a log stays readable. */
const LINE_INTERVAL_MS = 10_000;
const BAR_INTERVAL_MS = 100;
const BAR_WIDTH = 24;
/** The rate is that of the last so many milliseconds: the first steps of a run are slow and would spoil the ETA. */
const RATE_WINDOW_MS = 30_000;

/** 75 as "1:15", 4000 as "1:06:40". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

function formatRate(rate: number, unit: string): string {
  if (rate >= 1 || rate === 0) return `${rate.toFixed(rate >= 100 ? 0 : 1)} ${unit}/s`;
  return `${(1 / rate).toFixed(1)} s/${unit.replace(/s$/, '')}`;
}

/** A progress bar with rate and ETA on a terminal, plain lines now and then elsewhere. */
export class Progress {
  private readonly now: () => number;
  private readonly start: number;
  private readonly isTerminal: boolean;
  private readonly marks: { time: number; done: number }[] = [];
  private shownAt = -Infinity;
  private shown = '';
  private done = 0;
  private total: number;
  private note = '';
  private finished = false;

  constructor(private readonly options: ProgressOptions) {
    this.now = options.now ?? (() => performance.now());
    this.start = this.now();
    this.isTerminal = options.stream.isTTY ?? false;
    this.total = options.total;
    this.marks.push({ time: this.start, done: 0 });
  }

  /** Shows that `done` of `total` steps are done, with a note such as the loss. */
  update(done: number, note = '', total = this.total): void {
    if (this.finished) return;
    const time = this.now();
    this.total = total;
    // A resumed task begins in the middle: what was done before says nothing about the rate.
    if (this.marks.length === 1 && this.done === 0 && done > 1) this.marks[0] = { time, done };
    this.done = done;
    this.note = note;
    this.marks.push({ time, done });
    while (this.marks.length > 2 && time - this.marks[0]!.time > RATE_WINDOW_MS) this.marks.shift();
    if (time - this.shownAt < (this.isTerminal ? BAR_INTERVAL_MS : LINE_INTERVAL_MS) && done !== total) return;
    this.shownAt = time;
    this.show(this.text());
  }

  /** Prints a line that stays, above the bar. */
  log(line: string): void {
    this.clear();
    this.options.stream.write(`${line}\n`);
    if (this.isTerminal && !this.finished && this.shown !== '') this.show(this.shown);
  }

  /** Ends the bar with a line that says how long it took; nothing is shown afterwards. */
  finish(note = ''): void {
    if (this.finished) return;
    this.finished = true;
    this.clear();
    const took = formatDuration((this.now() - this.start) / 1000);
    const { label, unit, stream } = this.options;
    stream.write(`${label}: ${this.done} ${unit} in ${took}${note === '' ? '' : `, ${note}`}\n`);
  }

  /** Removes the bar and says nothing: what follows is an error message. */
  abandon(): void {
    if (this.finished) return;
    this.finished = true;
    this.clear();
  }

  private text(): string {
    const { label, unit } = this.options;
    const first = this.marks[0]!;
    const last = this.marks.at(-1)!;
    const seconds = (last.time - first.time) / 1000;
    const rate = seconds > 0 ? (last.done - first.done) / seconds : 0;
    const parts: string[] = [];
    if (this.total > 0) {
      const share = Math.min(1, this.done / this.total);
      if (this.isTerminal) {
        const full = Math.round(share * BAR_WIDTH);
        parts.push(`${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)}`);
      }
      parts.push(`${Math.floor(share * 100)} %`, `${this.done}/${this.total} ${unit}`);
    } else {
      parts.push(`${this.done} ${unit}`);
    }
    if (rate > 0) parts.push(formatRate(rate, unit));
    if (rate > 0 && this.total > this.done) parts.push(`ETA ${formatDuration((this.total - this.done) / rate)}`);
    if (this.note !== '') parts.push(this.note);
    return `${label}: ${parts.join('  ')}`;
  }

  private show(text: string): void {
    this.shown = text;
    if (!this.isTerminal) {
      this.options.stream.write(`${text}\n`);
      return;
    }
    // A line longer than the terminal would wrap and leave rubbish behind.
    const fitting = text.slice(0, Math.max(10, (this.options.stream.columns ?? 80) - 1));
    this.options.stream.write(`\r\u001b[2K${fitting}`);
  }

  private clear(): void {
    if (this.isTerminal && this.shown !== '') this.options.stream.write('\r\u001b[2K');
  }
}
