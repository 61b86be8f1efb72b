/** A thread that ends its process when memory or time are used up or the parent process is gone, whatever the main thread does. */
import { workerData } from 'node:worker_threads';
import { outOfTime } from './isolated-process.ts';
import type { Allowance } from './serve-isolated.ts';

const { mark } = workerData as Allowance;
const parent = process.ppid;

setInterval(() => {
  if (process.memoryUsage.rss() > mark[0]! || process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  const { user, system } = process.cpuUsage();
  if (user + system > mark[1]!) process.kill(process.pid, outOfTime);
}, 25);
