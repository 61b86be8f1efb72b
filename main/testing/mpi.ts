/** Tests of ranks need MPI, which is not among what the repository installs. */
import { buildMpi } from '../../native/mpi/index.ts';

/** Whether ranks can be started here; says so where they cannot. */
export function hasMpi(): boolean {
  const { state } = buildMpi();
  if (state === 'missing')
    process.stdout.write(
      'NO MPI (mpicxx), so tests of ranks are skipped. Debian: apt-get install openmpi-bin libopenmpi-dev\n',
    );
  return state !== 'missing';
}
