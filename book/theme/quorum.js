// Three etcd members that you can take away and bring back: who leads, and which write counts. In: the
// picture in `<div class="tutor-quorum">`. Out: buttons under it, and what happened in words. The rules
// are Raft's, without its clocks: an election happens at once.

import { element } from "./element.js";

const NAMES = ["etcd-1", "etcd-2", "etcd-3"];
const MAJORITY = 2;

/** A new group: the first member leads, and all have the first write. */
export function group() {
  return {
    members: NAMES.map(() => ({ up: true, term: 1, log: [{ term: 1 }] })),
    leader: 0,
  };
}

/** Takes a member away. Returns what happened, in words. */
export function stop(state, at) {
  state.members[at].up = false;
  if (state.leader !== at) {
    return [`${NAMES[at]} is away.`, ...(living(state) < MAJORITY ? stepDown(state) : ["The leader still has a majority with it."])];
  }
  state.leader = null;
  return [`${NAMES[at]}, the leader, is away. The others hear nothing from it.`, ...elect(state)];
}

/** Brings a member back, with the log it had. */
export function start(state, at) {
  state.members[at].up = true;
  const said = [`${NAMES[at]} is back, with the writes that it had on disk.`];
  if (state.leader === null) return [...said, ...elect(state)];
  follow(state, at);
  return [...said, `It hears from ${NAMES[state.leader]} and fetches what it missed.`];
}

/** Asks for a write. */
export function write(state) {
  if (state.leader === null) return ["Refused: there is no leader. Better no answer than one that a majority may contradict later."];
  const leader = state.members[state.leader];
  leader.log.push({ term: leader.term });
  state.members.forEach((member, at) => member.up && at !== state.leader && follow(state, at));
  return [`Write ${leader.log.length} is on ${living(state)} of 3 disks: a majority, so it is committed and acknowledged.`];
}

function living(state) {
  return state.members.filter((member) => member.up).length;
}

function stepDown(state) {
  const was = NAMES[state.leader];
  state.leader = null;
  return [`${was} can reach no majority any more, so it stops leading. Nothing is written until a second member is back.`];
}

// Whoever has the newest log may lead: a voter says no to a candidate that lacks what it has.
function elect(state) {
  const up = state.members.map((_, at) => at).filter((at) => state.members[at].up);
  if (up.length < MAJORITY) return [`${up.length === 1 ? `${NAMES[up[0]]} votes for itself: 1 of 3` : "Nobody votes"}. That is no majority, so nobody leads.`];
  const newest = (one, other) => compare(state.members[other], state.members[one]);
  const [first, ...others] = [...up].sort(newest);
  const term = Math.max(...up.map((at) => state.members[at].term)) + 1;
  for (const at of up) state.members[at].term = term;
  state.leader = first;
  const behind = others.filter((at) => compare(state.members[first], state.members[at]) > 0);
  for (const at of others) follow(state, at);
  const why = behind.length > 0 ? ` ${NAMES[behind[0]]} could not: it lacks a committed write, and the other says no to it.` : "";
  return [`Election: ${NAMES[first]} gets ${up.length} of 3 votes and leads in term ${term}.${why}`];
}

function compare(one, other) {
  return one.log.at(-1).term - other.log.at(-1).term || one.log.length - other.log.length;
}

function follow(state, at) {
  const leader = state.members[state.leader];
  state.members[at].term = leader.term;
  state.members[at].log = leader.log.map((entry) => ({ ...entry }));
}

/** Makes the picture of a group one to play with. */
export function show(place) {
  const picture = place.querySelector("svg");
  let state = group();
  const said = element("p", { class: "said", role: "status" });
  const tell = (words) => {
    said.textContent = words.join(" ");
    draw(picture, state);
    buttons.forEach((button, at) => {
      button.textContent = `${state.members[at].up ? "Take away" : "Bring back"} ${NAMES[at]}`;
    });
  };
  const buttons = NAMES.map((_, at) => element("button", {
    type: "button",
    onclick: () => tell(state.members[at].up ? stop(state, at) : start(state, at)),
  }));
  const more = [
    element("button", { type: "button", onclick: () => tell(write(state)) }, "Write"),
    element("button", { type: "button", onclick: () => { state = group(); tell(["As at the beginning."]); } }, "Begin anew"),
  ];
  place.append(element("div", { class: "buttons", role: "group", "aria-label": "Three etcd members" }, ...buttons, ...more), said);
  tell(["Three members, one leader. Take one away, then a second."]);
}

function draw(picture, state) {
  state.members.forEach((member, at) => {
    const place = picture.querySelector(`[data-member="${at}"]`);
    const leads = state.leader === at;
    place.classList.toggle("away", !member.up);
    place.querySelector("rect").setAttribute("class", leads ? "fig-accent" : "fig-box");
    const role = !member.up ? "away" : leads ? "leader" : state.leader === null ? "waiting for votes" : "follower";
    place.querySelector("[data-role]").textContent = `${role}, term ${member.term}`;
    place.querySelector("[data-log]").textContent = `last write: ${member.log.length}`;
  });
  for (const link of picture.querySelectorAll("[data-link]")) {
    const ends = link.dataset.link.split("-").map(Number);
    link.classList.toggle("away", !ends.every((at) => state.members[at].up) || !ends.includes(state.leader));
  }
}
