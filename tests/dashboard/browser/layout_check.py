"""What a person would see at once: text that is cut, that overlaps, or that leaves the screen."""

from typing import Any

from playwright.sync_api import Page

# Text in the page itself and in charts; tables are drawn on a canvas, which cuts nothing by itself.
_SCRIPT = """
() => {
  const problems = [];
  const main = document.querySelector('[data-testid="stMain"]');
  const width = document.documentElement.clientWidth;
  if (main.scrollWidth > main.clientWidth + 1)
    problems.push(`the page is ${main.scrollWidth} wide on ${main.clientWidth}`);
  const shown = element => {
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    return style.visibility !== 'hidden' && style.opacity !== '0' && box.width > 1 && box.height > 1
      && !element.closest('[aria-hidden="true"], .hoverlayer, [data-testid="stTooltipContent"]');
  };
  const leaves = [...main.querySelectorAll('p, h1, h2, h3, label, button, code, pre, svg text')]
    .filter(element => element.textContent.trim() && shown(element))
    .filter(element => ![...element.children].some(
      child => ['P', 'BUTTON', 'LABEL', 'CODE'].includes(child.tagName)));
  const scrolls = element => {
    for (let node = element; node && node !== main; node = node.parentElement) {
      const style = getComputedStyle(node);
      if (/auto|scroll/.test(style.overflowX) && node.scrollWidth > node.clientWidth) return true;
    }
    return false;
  };
  const name = element => element.textContent.trim().slice(0, 40);
  const boxes = leaves.map(element => [element, element.getBoundingClientRect()]);
  for (const [element, box] of boxes) {
    if (scrolls(element)) continue;
    if (box.left < -1 || box.right > width + 1) problems.push(`off the screen: ${name(element)}`);
    if (!(element instanceof SVGElement) && element.scrollWidth > element.clientWidth + 1
        && getComputedStyle(element).overflowX !== 'visible')
      problems.push(`cut: ${name(element)}`);
  }
  for (let one = 0; one < boxes.length; one++)
    for (let other = one + 1; other < boxes.length; other++) {
      const [a, b] = [boxes[one], boxes[other]];
      if (a[0].contains(b[0]) || b[0].contains(a[0]) || scrolls(a[0]) || scrolls(b[0])) continue;
      const across = Math.min(a[1].right, b[1].right) - Math.max(a[1].left, b[1].left);
      const down = Math.min(a[1].bottom, b[1].bottom) - Math.max(a[1].top, b[1].top);
      if (across > 3 && down > 3) problems.push(`overlap: ${name(a[0])} | ${name(b[0])}`);
    }
  return [...new Set(problems)];
}
"""


def problems(page: Page) -> list[str]:
    """What is wrong with the layout of a page; empty if nothing is."""
    messages: Any = page.evaluate(_SCRIPT)
    return [str(each) for each in messages]
