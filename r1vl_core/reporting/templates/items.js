// How one item looks: the question on the left, what was answered on the right.
const VERDICTS = { correct: ['good', '✓ correct'], wrong: ['bad', '✗ wrong'], absent: ['bad', '∅ no answer'] };

function badge(verdict) {
  const [tone, label] = VERDICTS[verdict] || ['mixed', `! ${verdict}`];
  return el('span', { class: `badge ${tone}` }, label);
}

function questionCard(item, images) {
  const source = images[item.image];
  const picture = source ? el('img', { src: source, alt: 'the question’s picture' }) : el('div', { class: 'nopicture' }, 'no picture');
  return el('div', { class: 'question' },
    picture,
    el('p', { class: 'asked' }, item.question),
    item.choices.length ? el('ul', { class: 'choices' }, item.choices.map(([letter, text]) => el('li', {}, el('b', {}, letter), ' ', text))) : null,
    el('p', {}, el('span', { class: 'muted' }, 'Gold answer '), el('b', {}, item.gold)),
    item.family ? el('p', { class: 'muted' }, item.family) : null,
    item.key_steps && item.key_steps.length ? keySteps(item.key_steps) : null);
}

function keySteps(steps) {
  return el('div', {}, el('h4', {}, 'Key steps'), el('ol', { class: 'keysteps' }, steps.map((forms, i) =>
    el('li', { title: forms.join('\n') }, chip(i), el('span', {}, forms[0] ?? '', forms.length > 1 ? el('details', {}, el('summary', {}, `${forms.length - 1} more`), forms.slice(1).map((form) => el('div', {}, form))) : null)))));
}

function chip(i) {
  return el('span', { class: `chip k${i % 6}` }, String(i + 1));
}

function responseText(pieces, forms) {
  const blocks = pieces.map(([kind, label, runs]) => {
    const nodes = trimmed(runs).map(([text, matched]) => (matched.length ? marked(text, matched, forms || {}) : text));
    return nodes.length ? el('div', { class: `piece ${kind}`, 'data-label': label || null }, nodes) : null;
  });
  return el('div', { class: 'text' }, blocks);
}

function marked(text, matched, forms) {
  const titles = matched.map((i) => `key step ${i + 1}: ${forms[i] ?? ''}`).join('\n');
  return el('mark', { class: `k${matched[0] % 6}`, title: titles }, text, el('sup', {}, matched.map((i) => i + 1).join(' ')));
}

// Line breaks at a section's ends are layout here, not text.
function trimmed(runs) {
  const copy = runs.map(([text, matched]) => [text, matched]);
  if (copy.length) {
    copy[0][0] = copy[0][0].replace(/^\s+/, '');
    copy[copy.length - 1][0] = copy[copy.length - 1][0].replace(/\s+$/, '');
  }
  return copy.filter(([text]) => text);
}

function number(label, value, tone) {
  return el('span', { class: `number ${tone || ''}` }, el('small', {}, label), value);
}

function invalid(defects) {
  return defects.length ? el('p', { class: 'invalid' }, `Not valid: ${defects.join(', ')}`) : null;
}

function tone(value) {
  return value > 0 ? 'good' : value < 0 ? 'bad' : '';
}

function pathCard(path, keyStepForms, i) {
  const missed = path.missed.map((k) => el('li', {}, chip(k), ' ', (keyStepForms[k] || [''])[0]));
  return el('div', { class: 'response' },
    el('div', { class: 'head' }, el('b', {}, `Path ${i + 1}`), badge(path.verdict), path.truncated ? el('span', { class: 'badge mixed' }, 'truncated') : null,
      el('span', { class: 'muted right' }, `${path.num_tokens} tokens`)),
    el('div', { class: 'numbers' }, number('reward', path.reward.toFixed(2)), number('StepRAR', path.step_rar.toFixed(2)), number('StepRVR', path.step_rvr.toFixed(0)),
      number('k', path.k.toFixed(2)), number('advantage', signed(path.advantage), tone(path.advantage))),
    responseText(path.pieces, path.forms),
    invalid(path.defects),
    missed.length ? el('div', { class: 'missed' }, el('small', {}, 'Missed'), el('ul', {}, missed)) : null);
}

function responseCard(response) {
  return el('div', { class: 'response' },
    el('div', { class: 'head' }, el('b', {}, response.policy), badge(response.verdict), response.truncated ? el('span', { class: 'badge mixed' }, 'truncated') : null,
      el('span', { class: 'muted right' }, `${response.num_tokens} tokens`)),
    el('p', { class: 'found' }, el('span', { class: 'muted' }, 'Answer found '), el('b', {}, response.answer || '–'), el('span', { class: 'muted' }, ` · rule ${response.rule || '–'}`)),
    responseText(response.pieces),
    invalid(response.defects));
}

function itemHead(item) {
  return el('h3', {}, item.title, ' ', el('small', {}, item.subtitle));
}

function groupItem(images) {
  return (item) => [itemHead(item), el('div', { class: 'split' }, questionCard(item, images),
    el('div', { class: 'answers' }, item.paths.map((path, i) => pathCard(path, item.key_steps, i))))];
}

function heldoutItem(images) {
  return (item) => [itemHead(item), el('div', { class: 'split' }, questionCard(item, images),
    el('div', { class: 'answers' }, item.responses.map(responseCard)))];
}
