/** The process in which templates of others run (jinja.ts). */
import { serveIsolated } from '../isolation/serve-isolated.ts';
import { renderer } from './jinja-renderer.ts';

export interface RenderRequest {
  readonly source: string;
  /** Null: only compile. */
  readonly names: object | null;
  readonly longestOutput: number;
}
export type RenderReply = { readonly text: string } | { readonly problem: string };

const compiled = new Map<string, ReturnType<typeof renderer>>();

serveIsolated((request): RenderReply => {
  const { source, names, longestOutput } = request as RenderRequest;
  try {
    const render = compiled.get(source) ?? renderer(source);
    if (compiled.size > 16) compiled.clear();
    compiled.set(source, render);
    return { text: names === null ? '' : render(names, longestOutput) };
  } catch (thrown) {
    return { problem: String((thrown as Error).message).slice(0, 300) };
  }
});
