// Everybody, page by page.

import { get, type Person } from './api';

export interface People {
  people: Person[];
  hidden: number;
  hasNextPage: boolean;
}

const PAGE = 500;

export const pageOfPeople = (page: number, withHidden: boolean) =>
  get<People>(`/people?page=${page}&size=${PAGE}&withHidden=${withHidden}`);

/** The first so many pages, or all of them. */
export async function allPeople(withHidden: boolean, pages = Infinity): Promise<People> {
  const all = await pageOfPeople(1, withHidden);
  const seen = new Map(all.people.map((person) => [person.id, person]));
  for (let page = 2; all.hasNextPage && page <= pages; page += 1) {
    const more = await pageOfPeople(page, withHidden);
    for (const person of more.people) seen.set(person.id, person);
    all.hasNextPage = more.hasNextPage;
  }
  return { ...all, people: [...seen.values()] };
}
