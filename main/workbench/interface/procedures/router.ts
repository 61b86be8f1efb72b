/** The contract's procedures, answered by an open application. Each shell puts this behind its transport. */
import { applicationProcedures } from './application.ts';
import { procedures } from './base.ts';
import { componentProcedures } from './components.ts';
import { experimentProcedures } from './experiments.ts';
import { hubProcedures } from './hub.ts';
import { libraryProcedures } from './library.ts';
import { remoteProcedures } from './remote.ts';
import { resultProcedures } from './results.ts';
import { servingProcedures } from './serving.ts';

export function workbenchRouter() {
  return procedures.router({
    ...applicationProcedures(procedures),
    ...experimentProcedures(procedures),
    ...resultProcedures(procedures),
    ...libraryProcedures(procedures),
    ...hubProcedures(procedures),
    ...componentProcedures(procedures),
    ...servingProcedures(procedures),
    ...remoteProcedures(procedures),
  });
}
