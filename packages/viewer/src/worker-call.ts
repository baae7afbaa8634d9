/** A request to a worker, its answer, and what it reports in between. */
interface Request {
  readonly id: number;
  readonly method: string;
  readonly payload: unknown;
}
type Reply =
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

/** What a handler in a worker returns where buffers are to be handed over, not copied. */
export class Transferred {
  constructor(
    readonly value: unknown,
    readonly buffers: Transferable[],
  ) {}
}

type Handler = (payload: never, report: (event: unknown, buffers?: Transferable[]) => void) => unknown;

interface WorkerScope {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(message: Reply, buffers?: Transferable[]): void;
}

/** How engines say that there is no memory: JavaScript's arrays, and WebAssembly's. */
const NO_MEMORY =
  /allocation failed|invalid array length|invalid typed array length|bad_alloc|out of memory|failed to allocate/i;

/** What went wrong, for a reader. */
export function sentenceOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (!NO_MEMORY.test(message)) return message;
  return `The browser has no memory left for this (${message.slice(0, 120)}): close other tabs, or take a smaller scan or network.`;
}

/** In a worker: answers calls with these handlers; an error is answered with its sentence. */
export function answerCalls(handlers: Readonly<Record<string, Handler>>): void {
  const scope = self as unknown as WorkerScope;
  const answer = async ({ id, method, payload }: Request): Promise<void> => {
    try {
      const handler = handlers[method];
      if (handler === undefined) throw new Error(`Expected a known call, found ${method}.`);
      const result = await handler(payload as never, (event, buffers = []) => {
        scope.postMessage({ id, event }, buffers);
      });
      if (result instanceof Transferred) scope.postMessage({ id, result: result.value }, result.buffers);
      else scope.postMessage({ id, result });
    } catch (error) {
      scope.postMessage({ id, error: sentenceOf(error) });
    }
  };
  scope.onmessage = ({ data }) => void answer(data);
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly onEvent: ((event: unknown) => void) | undefined;
}

/** In the page: calls a worker; where it dies, the calls that wait fail with a sentence. */
export class WorkerCaller {
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;

  constructor(readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const call = this.#waiting.get(data.id);
      if ('event' in data) {
        call?.onEvent?.(data.event);
        return;
      }
      this.#waiting.delete(data.id);
      if ('error' in data) call?.reject(new Error(data.error));
      else call?.resolve(data.result);
    };
    worker.onerror = (event) => {
      const reason = new Error(
        `The background work stopped (${event.message || 'out of memory, perhaps'}): reload the page.`,
      );
      for (const { reject } of this.#waiting.values()) reject(reason);
      this.#waiting.clear();
    };
  }

  call<R>(
    method: string,
    payload: unknown,
    onEvent?: (event: never) => void,
    buffers: Transferable[] = [],
  ): Promise<R> {
    const id = this.#next++;
    return new Promise<R>((resolve, reject) => {
      this.#waiting.set(id, {
        resolve: resolve as (result: unknown) => void,
        reject,
        onEvent: onEvent as ((event: unknown) => void) | undefined,
      });
      this.worker.postMessage({ id, method, payload } satisfies Request, buffers);
    });
  }
}
