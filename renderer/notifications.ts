/** Desktop notifications at the end of a run. Permission is asked when a run is started by hand: only then is it clear what it is for. */
import { texts } from './texts.ts';

let openPage: (path: string) => void = () => undefined;

/** Says how a click on a notification opens a page. */
export function openNotificationsWith(open: (path: string) => void): void {
  openPage = open;
}

/** Asks once; who refused is not asked again. */
export function offerNotifications(): void {
  if ('Notification' in globalThis && Notification.permission === 'default') void Notification.requestPermission();
}

/** Tells of an experiment's end, unless the user is looking at the page. A click leads to the experiment. */
export function notifyOfEnd(id: string, name: string, state: 'done' | 'failed' | 'interrupted'): void {
  if (!('Notification' in globalThis) || Notification.permission !== 'granted') return;
  if (!document.hidden && document.hasFocus()) return;
  const notification = new Notification(texts.run.notification(name, texts.states[state]), {
    body: texts.run.notificationBodies[state],
    tag: id,
    icon: '/icon.svg',
  });
  notification.onclick = () => {
    globalThis.focus();
    notification.close();
    openPage(`/experiments/${id}${state === 'done' ? '/results' : ''}`);
  };
}
