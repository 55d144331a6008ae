// Many rows: only those on the screen are elements, and what is said of a row is read when it is looked at.
const LINE = 52, AROUND = 6;
const MARKS = { '+': ['good', '✓'], '-': ['bad', '✗'], '?': ['mixed', '?'], ' ': ['none', '–'] };
const SAID = { '+': 'right', '-': 'wrong', '?': 'unresolved, counted as wrong' };
const page = Object.fromEntries(['list', 'row', 'filters'].map((id) => [id, document.getElementById(id)]));
const chunks = new Map();
let all, rows, shown = [], at = 0, profile = 0, filters = {}, words = [], lines = new Map(), space, tally;

// Called by data/index.js.
function begin(told) {
  all = told; rows = told.rows;
  profile = Math.max(0, all.profiles.indexOf('paper'));
  space = el('div', {}); page.list.append(space);
  drawFilters();
  refilter(decodeURIComponent(location.hash.slice(1)));
}

// Called by data/00012.js.
function take(number, told) {
  chunks.set(number, told);
  drawRow();
}

function drawFilters() {
  const unique = (cells) => [...new Set(cells)].filter(Boolean).sort();
  const plain = (values) => values.map((value) => [value, value]);
  tally = el('span', { class: 'tally' });
  const search = el('input', { type: 'search', placeholder: 'Search questions', 'aria-label': 'Search questions and indices', on: { input: () => { words = search.value.toLowerCase().split(/\s+/).filter(Boolean); refilter(); } } });
  const profiles = el('select', { 'aria-label': 'Profile', on: { change: () => { profile = Number(profiles.value); lines.clear(); refilter(); } } }, all.profiles.map((name, i) => el('option', { value: i, selected: i === profile }, `profile ${name}`)));
  const category = select('category', 'all categories', plain(unique(rows.category)));
  const benchmark = select('benchmark', 'all benchmarks', plain(unique(rows.benchmark)), () => {
    const within = rows.category.filter((_, i) => !filters.benchmark || rows.benchmark[i] === filters.benchmark);
    filters.category = '';
    category.replaceChildren(...options('all categories', plain(unique(within))));
  });
  page.filters.append(...(unique(rows.benchmark).length > 1 ? [benchmark] : []), ...(unique(rows.category).length > 1 ? [category] : []), profiles, select('outcome', 'all outcomes', outcomes()), search, tally);
}

function outcomes() {
  const several = all.policies.length > 1;
  const found = all.policies.flatMap((name, i) => [['+', 'right'], ['-', 'wrong'], ['?', 'unresolved']].map(([mark, word]) => [`${mark}${i}`, several ? `${name}: ${word}` : word]));
  if (several) found.push(['changed', 'changed'], ['gained', 'wrong to right'], ['lost', 'right to wrong']);
  if (all.profiles.includes('paper') && all.profiles.includes('strict')) found.push(['differ', 'paper and strict differ']);
  return found;
}

function options(none, pairs) {
  return [el('option', { value: '' }, none), ...pairs.map(([value, label]) => el('option', { value }, label))];
}

function select(key, none, pairs, changed) {
  const made = el('select', { 'aria-label': key, on: { change: () => { filters[key] = made.value; if (changed) changed(); refilter(); } } }, options(none, pairs));
  return made;
}

function right(i, policy) { return rows.verdicts[i][policy][profile] === '+'; }

function hasOutcome(i, wanted) {
  const verdicts = rows.verdicts[i];
  if (wanted === 'differ') {
    const [paper, strict] = ['paper', 'strict'].map((name) => all.profiles.indexOf(name));
    return verdicts.some((marks) => (marks[paper] === '+') !== (marks[strict] === '+'));
  }
  if ('+-?'.includes(wanted[0])) {
    const mark = verdicts[Number(wanted.slice(1))][profile];
    return mark === wanted[0] || (wanted[0] === '-' && mark === '?');
  }
  if (verdicts.some((marks) => marks[profile] === ' ')) return false;
  const [first, second] = [right(i, 0), right(i, 1)];
  return wanted === 'changed' ? first !== second : wanted === 'gained' ? !first && second : first && !second;
}

function refilter(wanted) {
  shown = [];
  for (let i = 0; i < rows.index.length; i++) {
    if (filters.benchmark && rows.benchmark[i] !== filters.benchmark) continue;
    if (filters.category && rows.category[i] !== filters.category) continue;
    if (filters.outcome && !hasOutcome(i, filters.outcome)) continue;
    if (words.length) {
      const text = `${rows.index[i]} ${rows.question[i]}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
    }
    shown.push(i);
  }
  at = Math.max(0, shown.findIndex((i) => nameOf(i) === wanted));
  const shares = all.policies.map((name, policy) => {
    const asked = shown.filter((i) => rows.verdicts[i][policy][profile] !== ' ');
    const share = asked.length ? `${(100 * asked.filter((i) => right(i, policy)).length / asked.length).toFixed(1)} %` : '–';
    return `${name} ${share}`;
  });
  tally.textContent = `${shown.length.toLocaleString('en')} of ${rows.index.length.toLocaleString('en')} rows · right: ${shares.join(' · ')}`;
  space.style.height = `${shown.length * LINE}px`;
  page.list.scrollTop = Math.max(0, at * LINE - page.list.clientHeight / 2);
  drawList(); drawRow();
}

function nameOf(i) { return `${rows.benchmark[i]}/${rows.index[i]}`; }

function drawList() {
  const first = Math.max(0, Math.floor(page.list.scrollTop / LINE) - AROUND);
  const last = Math.min(shown.length, Math.ceil((page.list.scrollTop + page.list.clientHeight) / LINE) + AROUND);
  // A line that stays on the screen stays the same element: its picture is not read again.
  const kept = new Map();
  for (let position = first; position < last; position++) kept.set(shown[position], lines.get(shown[position]) || line(shown[position]));
  lines = kept;
  space.replaceChildren(...kept.values());
  for (let position = first; position < last; position++) {
    const node = kept.get(shown[position]);
    node.style.top = `${position * LINE}px`;
    node.setAttribute('aria-selected', String(position === at));
    node.onclick = () => go(position);
  }
}

function line(i) {
  const marks = rows.verdicts[i].map((verdicts, policy) => {
    const [tone, mark] = MARKS[verdicts[profile]];
    return el('span', { class: `badge ${tone}`, title: `${all.policies[policy]}: ${SAID[verdicts[profile]] || 'not asked'}` }, mark);
  });
  const picture = rows.picture[i] ? el('img', { src: rows.picture[i], alt: '' }) : el('span', { class: 'none' });
  const where = [rows.benchmark[i], rows.category[i], rows.index[i]].filter(Boolean).join(' · ');
  return el('div', { class: 'line', role: 'option' }, el('span', { class: 'marks' }, marks), picture,
    el('span', { class: 'words' }, el('div', {}, rows.question[i]), el('div', { class: 'muted' }, where)));
}

function go(position) {
  if (!shown.length) return;
  at = Math.min(shown.length - 1, Math.max(0, position));
  const top = at * LINE;
  if (top < page.list.scrollTop) page.list.scrollTop = top;
  if (top + LINE > page.list.scrollTop + page.list.clientHeight) page.list.scrollTop = top + LINE - page.list.clientHeight;
  history.replaceState(null, '', `#${encodeURIComponent(nameOf(shown[at]))}`);
  drawList(); drawRow();
  page.row.scrollTop = 0;
}

function drawRow() {
  if (!shown.length) { page.row.replaceChildren(el('p', { class: 'empty' }, 'No row is like that.')); return; }
  const i = shown[at], number = Math.floor(i / all.chunkRows);
  const chunk = chunks.get(number);
  if (!chunk) { load(number); return; }
  const row = chunk[i % all.chunkRows];
  const pictures = row.pictures.map((source) => {
    const picture = el('img', { src: source, alt: 'the question’s picture', on: { load: () => picture.classList.toggle('small', picture.naturalWidth < 160) } });
    return picture;
  });
  page.row.replaceChildren(
    el('h3', {}, `${rows.benchmark[i]} ${rows.index[i]} `, el('small', {}, rows.category[i])),
    el('div', { class: 'ask' },
      el('div', { class: 'pictures' }, pictures.length ? pictures : el('div', { class: 'nopicture' }, 'no picture')),
      el('div', {},
        el('p', { class: 'asked' }, row.question),
        row.choices.length ? el('ul', { class: 'choices' }, row.choices.map(([letter, text]) => el('li', {}, el('b', {}, letter), ' ', text))) : null,
        el('p', {}, el('span', { class: 'muted' }, 'Gold answer '), el('b', {}, row.gold)),
        el('details', {}, el('summary', {}, 'The whole prompt'), el('pre', {}, row.prompt)))),
    el('div', { class: 'answers' }, row.answers.map((answer, policy) => answer && answerCard(answer, all.policies[policy]))));
}

function answerCard(answer, policy) {
  return el('div', { class: 'response' },
    el('div', { class: 'head' }, el('b', {}, policy), answer.truncated ? el('span', { class: 'badge mixed' }, 'truncated') : null,
      el('span', { class: 'muted right' }, answer.tokens === null ? '' : `${answer.tokens} tokens`)),
    rulingsTable(answer.rulings), responseText(answer.pieces), invalid(answer.defects));
}

function rulingsTable(rulings) {
  const judged = all.profiles.filter((name) => rulings[name]);
  const usual = judged.length && rulings[judged[0]][1];
  const lines = judged.map((name) => {
    const [extracted, correct, rule, decidedBy] = rulings[name];
    const [tone, label] = correct ? ['good', '✓ right'] : decidedBy === 'unresolved' ? ['mixed', '? unresolved'] : ['bad', '✗ wrong'];
    const classes = [correct !== usual && 'differs', name === all.profiles[profile] && 'chosen'].filter(Boolean).join(' ');
    return el('tr', { class: classes }, el('td', {}, name), el('td', {}, el('span', { class: `badge ${tone}` }, label)), el('td', {}, extracted || '–'),
      el('td', { class: 'muted' }, decidedBy === 'judge' ? `judge: ${rule}` : rule));
  });
  return el('table', { class: 'rulings' }, el('thead', {}, el('tr', {}, ['Profile', 'Verdict', 'Answer found', 'Rule'].map((head) => el('th', {}, head)))), el('tbody', {}, lines));
}

function load(number) {
  if (chunks.has(number)) return;
  chunks.set(number, null);
  const script = el('script', { src: `data/${String(number).padStart(5, '0')}.js`, on: { error: () => chunks.delete(number) } });
  document.head.append(script);
}

page.list.addEventListener('scroll', drawList, { passive: true });
addEventListener('resize', () => all && drawList());
document.addEventListener('keydown', (event) => {
  const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
  if (!by || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  go(at + by);
});
document.getElementById('theme').addEventListener('click', () => {
  const isDark = (document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  document.documentElement.dataset.theme = isDark ? 'light' : 'dark';
});
