/** A thread that ends its process when the memory is more than allowed or the parent process is gone, whatever the main thread does. */
import { workerData } from 'node:worker_threads';

const allowedBytes = workerData as Float64Array;
const parent = process.ppid;

setInterval(() => {
  if (process.memoryUsage.rss() > allowedBytes[0]! || process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, 25);
