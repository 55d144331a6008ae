// The pointer over a chart shows the step and the value nearest to it.
function followPointer(svg, tip) {
  const lines = JSON.parse(svg.dataset.lines);
  const pointer = svg.querySelector('.pointer');
  const [rule, dot] = [pointer.querySelector('line'), pointer.querySelector('circle')];

  function show(event) {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const nearest = lines.map((line) => line.points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a)));
    const [px, py, step] = nearest[0];
    rule.setAttribute('x1', px);
    rule.setAttribute('x2', px);
    dot.setAttribute('cx', px);
    dot.setAttribute('cy', py);
    pointer.setAttribute('visibility', 'visible');
    const values = nearest.map((point, i) => (lines.length > 1 ? `${lines[i].name} ${point[3]}` : point[3]));
    tip.replaceChildren(el('span', {}, `step ${step}`), el('strong', {}, values.join(' · ')));
    tip.hidden = false;
    const left = event.clientX + 14 + tip.offsetWidth > innerWidth ? event.clientX - 14 - tip.offsetWidth : event.clientX + 14;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${event.clientY - tip.offsetHeight - 8}px`;
  }

  function hide() {
    pointer.setAttribute('visibility', 'hidden');
    tip.hidden = true;
  }

  svg.addEventListener('pointermove', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', hide);
}
