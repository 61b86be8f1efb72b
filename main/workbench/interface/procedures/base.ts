/** What all procedures start from: the contract, the open application, and the guards around each of them. */
import { implement } from '@orpc/server';
import type { ZodType } from 'zod';
import { localPathsIn } from '../../../contract/local-path.ts';
import { contract } from '../../../contract/procedures.ts';
import { noteDamage } from '../../workspace/database-suspicion.ts';
import type { Application } from '../application.ts';
import { toProcedureError } from './errors.ts';

export interface ProcedureContext {
  readonly application: Application;
}

/** Every procedure turns what it throws into the contract's error, and gets no path that may not be read. */
export const procedures = implement(contract)
  .$context<ProcedureContext>()
  .use(async ({ next, context }) => {
    try {
      return await next();
    } catch (thrown) {
      const { database } = context.application.workspace.paths;
      noteDamage(database, thrown);
      throw toProcedureError(thrown, database);
    }
  })
  .use(async ({ next, context, procedure }, input) => {
    const { inputSchema } = procedure['~orpc'];
    // Before the input is checked, so what it should be is not relied on.
    if (inputSchema !== undefined)
      for (const path of localPathsIn(inputSchema as ZodType, input)) await context.application.paths.demand(path);
    return next();
  });

export type Procedures = typeof procedures;
