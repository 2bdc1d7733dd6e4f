/** Copies a text, of an element that shows it; says what came of it in the button that was pressed. */
export async function copy(element, button) {
  button.dataset.name ??= button.textContent;
  try {
    await navigator.clipboard.writeText(element.textContent); // there on HTTPS and localhost only
    button.textContent = 'Copied';
  } catch {
    getSelection().selectAllChildren(element);
    button.textContent = document.execCommand('copy') ? 'Copied' : 'Selected';
  }
  setTimeout(() => (button.textContent = button.dataset.name), 2000);
}
