/* The mail of one recipient, in a frame that may do nothing. */
import { announce, ask, data, find, problemOf, show } from './dom.js';

const form = find('preview');
let asked = 0;

form?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const mine = ++asked;
  const base = `/api/campaigns/${encodeURIComponent(data.name)}/preview`;
  const query = `?as=${encodeURIComponent(form.elements.as.value.trim())}`;
  try {
    const mail = await ask(base + query);
    // Another one was requested meanwhile.
    if (mine !== asked) return;
    for (const field of ['from', 'to', 'subject', 'text']) {
      find('mail').querySelector(`[data-slot="${field}"]`).textContent = mail[field] ?? '';
    }
    show(find('text-part'), mail.text !== null);
    show(find('html-part'), mail.html);
    if (mail.html) find('frame').src = `${base}.html${query}`;
    show(find('mail'), true);
    announce('');
  } catch (error) {
    show(find('mail'), false);
    announce(problemOf(error), true);
  }
});
