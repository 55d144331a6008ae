const payload = JSON.parse(document.getElementById('payload').textContent);
const tip = document.getElementById('tip');
document.querySelectorAll('svg[data-lines]').forEach((svg) => followPointer(svg, tip));

const renderers = { groups: groupItem(payload.images), heldout: heldoutItem(payload.images) };
const browsers = [...document.querySelectorAll('.browser')].map((root) => makeBrowser(root, payload[root.dataset.items], renderers[root.dataset.items]));

// Arrow keys turn the pages of the browser nearest to the middle of the window.
document.addEventListener('keydown', (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const distance = ({ root }) => {
    const box = root.getBoundingClientRect();
    return Math.max(0, box.top - innerHeight / 2, innerHeight / 2 - box.bottom);
  };
  const nearest = browsers.filter((browser) => distance(browser) < innerHeight / 2).sort((a, b) => distance(a) - distance(b))[0];
  if (nearest) { event.preventDefault(); nearest.move(by); }
});

const dark = matchMedia('(prefers-color-scheme: dark)');
document.getElementById('theme').addEventListener('click', () => {
  const isDark = (document.documentElement.dataset.theme || (dark.matches ? 'dark' : 'light')) === 'dark';
  document.documentElement.dataset.theme = isDark ? 'light' : 'dark';
});
