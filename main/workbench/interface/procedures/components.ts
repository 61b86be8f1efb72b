/** Components on demand: what is there, installing with progress, removing. */
import { componentStates, installComponent, removeComponent } from '../components.ts';
import { streamed } from './errors.ts';
import type { Procedures } from './base.ts';

export function componentProcedures({ components }: Procedures) {
  return {
    components: {
      list: components.list.handler(({ context: { application } }) => componentStates(application.options.runtime)),
      install: components.install.handler(
        streamed(({ context: { application }, input, signal }) =>
          installComponent(application.options.runtime, input.name, signal, application.settings.read().proxy),
        ),
      ),
      remove: components.remove.handler(({ context: { application }, input }) =>
        removeComponent(application.options.runtime, input.name),
      ),
    },
  };
}
