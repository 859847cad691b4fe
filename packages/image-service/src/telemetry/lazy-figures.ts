import type { Figures } from './figures.ts';

/**
 * Figures whose machinery is loaded when the first piece of work has ended: a start does not wait for it, and nothing
 * that is told before is lost.
 */
export function lazyFigures(load: () => Promise<Figures>): Figures {
  let loaded: Figures | undefined;
  let loading: Promise<Figures> | undefined;
  const waiting: ((figures: Figures) => void)[] = [];
  const whole = (): Promise<Figures> => {
    loading ??= load().then((figures) => {
      for (const tell of waiting.splice(0)) tell(figures);
      loaded = figures;
      return figures;
    });
    return loading;
  };
  const note = (tell: (figures: Figures) => void): void => {
    if (loaded === undefined) waiting.push(tell);
    else tell(loaded);
  };
  const noteEnd = (tell: (figures: Figures) => void): void => {
    note(tell);
    if (loaded === undefined) void whole();
  };
  return {
    callBegan: () => note((figures) => figures.callBegan()),
    callEnded: (call) => noteEnd((figures) => figures.callEnded(call)),
    stageEnded: (stage) => noteEnd((figures) => figures.stageEnded(stage)),
    taskEnded: (task) => noteEnd((figures) => figures.taskEnded(task)),
    storeUsed: (operation) => noteEnd((figures) => figures.storeUsed(operation)),
    look: (gauges) => note((figures) => figures.look(gauges)),
    text: async () => (await whole()).text(),
    close: async () => (await loading)?.close(),
  };
}
