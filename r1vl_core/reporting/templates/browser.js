// A browser of items: filters, a search box, a strip of tiles, and one item at a time.
const TILES = 120;

function makeBrowser(root, { facets, items }, renderItem) {
  const filters = {};
  const texts = items.map((item) => searchable(item));
  let shown = items.map((_, i) => i);
  let at = 0;

  const count = el('span', { class: 'count' });
  const strip = el('div', { class: 'strip' });
  const stage = el('article', { class: 'item' });
  const search = el('input', { type: 'search', placeholder: 'Search text', 'aria-label': 'Search text', on: { input: refilter } });
  const selects = facets.filter((facet) => facet.options.length > 1).map(makeSelect);
  const previous = el('button', { type: 'button', 'aria-label': 'Previous', on: { click: () => move(-1) } }, '←');
  const next = el('button', { type: 'button', 'aria-label': 'Next', on: { click: () => move(1) } }, '→');
  root.append(el('div', { class: 'filters' }, selects, search, el('span', { class: 'pager' }, count, previous, next)), strip, stage);
  refilter();

  function makeSelect(facet) {
    const options = [el('option', { value: '' }, `${facet.label}: all`), ...facet.options.map(([value, label]) => el('option', { value }, label))];
    const select = el('select', { 'aria-label': facet.label, on: { change: () => { filters[facet.key] = select.value; refilter(); } } }, options);
    return select;
  }

  function refilter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = Object.entries(filters).filter(([, value]) => value);
    shown = items.flatMap((item, i) => {
      const inFacets = wanted.every(([key, value]) => item.facets[key].includes(value));
      return inFacets && words.every((word) => texts[i].includes(word)) ? [i] : [];
    });
    at = 0;
    draw();
  }

  function move(by) {
    if (!shown.length) return;
    at = (at + by + shown.length) % shown.length;
    draw();
  }

  function draw() {
    count.textContent = shown.length ? `${at + 1} of ${shown.length}` : 'nothing matches';
    const first = Math.floor(at / TILES) * TILES;
    strip.replaceChildren(...shown.slice(first, first + TILES).map((i, offset) => tile(items[i], first + offset)));
    stage.replaceChildren(...(shown.length ? renderItem(items[shown[at]]) : []));
  }

  function tile(item, position) {
    const here = position === at;
    const label = `${item.title} ${item.subtitle}`;
    return el('button', { type: 'button', class: `tile ${item.tone}`, title: label, 'aria-current': here && 'true', on: { click: () => { at = position; draw(); } } }, item.tile);
  }

  return { root, move };
}

function searchable(item) {
  const responses = item.paths || item.responses;
  const runs = responses.flatMap((response) => response.pieces.flatMap(([, , pieces]) => pieces.map(([text]) => text)));
  const choices = item.choices.map(([letter, text]) => `${letter}: ${text}`);
  return [item.title, item.subtitle, item.question, item.gold, item.family, ...choices, runs.join('')].join('\n').toLowerCase();
}
