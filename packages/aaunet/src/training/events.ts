/** What happens during a training, in order of occurrence. */
export type TrainEvent =
  | { readonly type: 'prepare'; readonly done: number; readonly total: number }
  /** Weights to start from are fetched; in bytes. */
  | { readonly type: 'download'; readonly done: number; readonly total: number }
  | { readonly type: 'start'; readonly step: number; readonly totalSteps: number; readonly resumed: boolean }
  | {
      readonly type: 'step';
      readonly step: number;
      readonly epoch: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly secondsPerStep: number;
    }
  | {
      readonly type: 'validation';
      readonly step: number;
      readonly epoch: number;
      readonly meanDice: number;
      readonly best: boolean;
    }
  | { readonly type: 'message'; readonly text: string };
