/** Components on demand: what is there, installing with progress, removing. */
import { componentStates, installComponent, removeComponent } from '../components.ts';
import { toProcedureError } from './errors.ts';
import type { Procedures } from './base.ts';

export function componentProcedures({ components }: Procedures) {
  return {
    components: {
      list: components.list.handler(({ context: { application } }) => componentStates(application.options.runtime)),
      install: components.install.handler(async function* ({ context: { application }, input, signal }) {
        try {
          yield* installComponent(application.options.runtime, input.name, signal);
        } catch (thrown) {
          throw toProcedureError(thrown);
        }
      }),
      remove: components.remove.handler(({ context: { application }, input }) =>
        removeComponent(application.options.runtime, input.name),
      ),
    },
  };
}
