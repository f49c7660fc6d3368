// Drives a server with the official NocoBase client: one line of JSON for each step, in order.
// Usage: node nocobase_sdk.cjs http://127.0.0.1:8080/api/ USER PASSWORD

const { APIClient } = require("@nocobase/sdk");

const [baseURL, user, password] = process.argv.slice(2);
const client = new APIClient({ baseURL, proxy: false, timeout: 120000 });
const stranger = new APIClient({ baseURL, proxy: false, timeout: 120000 });
let kept = null;
const on = (name, id) => client.resource(name, id);

const STEPS = {
  // who asks
  "check without a token": () => client.request({ url: "auth:check" }),
  "list without a token": () => on("posts").list(),
  "sign in with a wrong password": () => stranger.auth.signIn({ account: user, password: "wrong-sesame" }, "basic"),
  "sign in": () => client.auth.signIn({ account: user, password }, "basic"),
  check: () => {
    client.auth.setLocale("de-DE");
    return client.request({ url: "auth:check" });
  },

  // list
  list: () => on("posts").list(),
  "list with one object as filter": () => on("posts").list({ filter: { "title.$includes": "A & b, 50%" }, fields: ["id"] }),
  "list with and, or, not": () =>
    on("posts").list({
      filter: { $and: [{ $or: [{ views: { $gte: 5 } }, { views: null }] }, { $not: { "author.name": "Ann" } }] },
      fields: ["id", "views"],
      sort: ["-views", "id"],
    }),
  "list with associations in the filter": () =>
    on("posts").list({ filter: { "tags.name.$in": ["red", "blue"], "author.age.$gt": 30 }, fields: ["id", "author.name"] }),
  "list a page": () => on("posts").list({ page: 2, pageSize: 2, sort: ["-id"], fields: ["id", "title"] }),
  "list in the order of an association": () => on("posts").list({ sort: ["-author.name"], fields: ["id"], paginate: false }),
  "list without pages": () => on("tags").list({ paginate: false, fields: ["name"], sort: ["name"] }),
  "list with appends and except": () =>
    on("posts").list({ filter: { id: [1, 2] }, appends: ["author", "tags", "comments"], except: ["createdAt", "updatedAt", "author.age"] }),
  "list with a text as filter": () => on("tags").list({ filter: '{"name.$ne":"red"}', fields: ["id"] }),
  "list with an unknown operator": () => on("posts").list({ filter: { "title.$nope": 1 } }),
  "list an unknown collection": () => on("nope").list(),
  "list through request": () => client.request({ resource: "tags", action: "list", params: { pageSize: 1 } }),
  "list by a plain address": () => client.request({ url: "tags:list?fields=name&pageSize=1" }),

  // get
  get: () => on("posts").get({ filterByTk: 1 }),
  "get with appends": () => on("posts").get({ filterByTk: 1, fields: ["id"], appends: ["author.profile", "comments.content", "tags"] }),
  "get by filter": () => on("authors").get({ filter: { name: "Bob" }, appends: ["posts"] }),
  "get what is not there": () => on("posts").get({ filterByTk: 99 }),

  // create
  create: () => on("authors").create({ values: { name: "Cem", age: 30 } }),
  "create with nested values": () =>
    on("posts").create({
      values: {
        title: "Nested",
        author: { name: "Dan", profile: { bio: "new" } },
        tags: [2, { name: "green", postsTags: { weight: 7 } }],
        comments: [{ content: "one" }, { content: "two" }],
      },
    }),
  "create several": () => on("tags").create({ values: [{ name: "x" }, { name: "y" }] }),
  "create with a whitelist": () => on("posts").create({ values: { title: "Listed", views: 9 }, whitelist: ["title"] }),
  "create with a blacklist": () => on("posts").create({ values: { title: "Black", views: 9 }, blacklist: ["views"] }),
  "create a second of a name": () => on("authors").create({ values: { name: "Ann" } }),
  "create without what is required": () => on("authors").create({ values: { age: 1 } }),
  "create what is wrong in depth": () => on("posts").create({ values: { title: "Gone", author: { name: "Eve", profile: { bio: 5 } } } }),
  "nothing of it remains": () => on("authors").list({ filter: { name: "Eve" }, fields: ["id"] }),

  // update
  update: () => on("posts").update({ filterByTk: 2, values: { views: 6, author: null } }),
  "update several": () => on("tags").update({ filterByTk: [4, 5], values: { name: "z" } }),
  "update by filter": () => on("posts").update({ filter: { "views.$gt": 50 }, values: { views: 50 }, whitelist: ["views"] }),
  "update an author's record as well": () =>
    on("posts").update({ filterByTk: 1, values: { author: { id: 1, age: 35 } }, updateAssociationValues: ["author"] }),
  "link an author only": () => on("posts").update({ filterByTk: 1, values: { author: { id: 1, age: 99 } } }),
  "update nothing in particular": () => on("tags").update({ values: { name: "all" } }),
  "update all": () => on("profiles").update({ values: { bio: "all" }, forceUpdate: true }),
  "update what is not there": () => on("posts").update({ filterByTk: 99, values: { views: 1 } }),

  // firstOrCreate and updateOrCreate
  "firstOrCreate finds": () => on("authors").firstOrCreate({ filterKeys: ["name"], values: { name: "Bob", age: 1 } }),
  "firstOrCreate creates": () => on("authors").firstOrCreate({ filterKeys: ["name"], values: { name: "Fay", age: 2 } }),
  "updateOrCreate updates": () => on("authors").updateOrCreate({ filterKeys: ["name"], values: { name: "Fay", age: 3 } }),
  "updateOrCreate creates": () => on("authors").updateOrCreate({ filterKeys: ["name"], values: { name: "Gil", age: 4 } }),

  // associations
  "list an association": () => on("posts.tags", 1).list({ sort: ["id"] }),
  "get of an association": () => on("posts.comments", 1).get({ filterByTk: 1 }),
  "get of another parent": () => on("posts.comments", 2).get({ filterByTk: 1 }),
  "get a to-one association": () => on("posts.author", 1).get(),
  "create in an association": () => on("posts.comments", 2).create({ values: { content: "three" } }),
  "create in a many-to-many association": () => on("posts.tags", 2).create({ values: { name: "six", postsTags: { weight: 1 } } }),
  "update in an association": () => on("posts.tags", 2).update({ filterByTk: 6, values: { postsTags: { weight: 2 } } }),
  "update a to-one association": () => on("posts.author", 1).update({ values: { age: 36 } }),
  add: () => on("posts.tags", 3).add({ values: [1, 2] }),
  "add with values of the link": () => on("posts.tags", 3).add({ values: [[3, { weight: 8 }]] }),
  "add by filterByTk": () => on("posts.tags", 3).add({ filterByTk: 4 }),
  "what add did": () => on("posts.tags", 3).list({ sort: ["id"], except: ["createdAt", "updatedAt"] }),
  set: () => on("posts.tags", 3).set({ values: [2, 5] }),
  remove: () => on("posts.tags", 3).remove({ values: [2] }),
  "toggle on": () => on("posts.tags", 3).toggle({ values: [1] }),
  "toggle off": () => on("posts.tags", 3).toggle({ values: [5] }),
  "what set, remove and toggle did": () => on("posts.tags", 3).list({ fields: ["id"] }),
  "set a to-one association": () => on("posts.author", 3).set({ values: [2] }),
  "what set did": () => on("posts").get({ filterByTk: 3, fields: ["id", "authorId"] }),
  "remove a to-one association": () => on("posts.author", 3).remove(),
  "what remove did": () => on("posts.author", 3).get(),
  "set to-many": () => on("authors.posts", 2).set({ values: [3, 4] }),
  "what set to-many did": () => on("authors.posts", 2).list({ fields: ["id", "authorId"] }),
  "an unknown association": () => on("posts.nope", 1).list(),

  // the manual order
  "order before": () => on("posts").list({ sort: ["sort"], fields: ["id"], paginate: false }),
  "move down": () => on("posts").move({ sourceId: 1, targetId: 3 }),
  "order after moving down": () => on("posts").list({ sort: ["sort"], fields: ["id"], paginate: false }),
  "move up": () => on("posts").move({ sourceId: 4, targetId: 2 }),
  "move behind": () => on("posts").move({ sourceId: 2, targetId: 3, method: "insertAfter" }),
  "move to the top": () => on("posts").move({ sourceId: 5, sticky: true }),
  "order after all": () => on("posts").list({ sort: ["sort"], fields: ["id"], paginate: false }),
  "move without an order": () => on("tags").move({ sourceId: 1, targetId: 2 }),

  // destroy
  destroy: () => on("tags").destroy({ filterByTk: 4 }),
  "destroy several": () => on("tags").destroy({ filterByTk: [5, 99] }),
  "destroy by filter": () => on("posts").destroy({ filter: { "title.$in": ["Listed", "Black"] } }),
  "destroy nothing in particular": () => on("tags").destroy(),
  "destroy with a null key": () => on("tags").destroy({ filterByTk: null }),
  "destroy in an association": () => on("posts.comments", 2).destroy({ filterByTk: 5 }),
  "destroy all of an association": () => on("posts.comments", 4).destroy(),
  "what remains of it": () => on("posts.comments", 4).list(),
  "what remains": () => on("tags").list({ fields: ["id"], paginate: false }),

  // a role, another user, the end
  "with a role that everybody has": () => {
    client.auth.setRole("member");
    return on("tags").list({ fields: ["id"], pageSize: 1 });
  },
  "with a role that nobody has": () => {
    client.auth.setRole("root");
    return on("tags").list();
  },
  "sign up": () => stranger.auth.signUp({ account: "nina", password: "open-sesame-2" }, "basic"),
  "sign in as the new user": () => stranger.auth.signIn({ account: "nina", password: "open-sesame-2" }, "basic"),
  "check as the new user": () => stranger.request({ url: "auth:check" }),
  "sign out": () => {
    kept = client.auth.token;
    client.auth.setRole(null);
    return client.auth.signOut();
  },
  "list after signing out": () => on("tags").list(),
  "list with the token that has ended": () => {
    client.auth.setToken(kept);
    return on("tags").list();
  },
  "the other user stays": () => stranger.resource("tags").get({ filterByTk: 1, fields: ["name"] }),
};

async function main() {
  for (const [step, run] of Object.entries(STEPS)) {
    const answer = await run().catch((error) => error.response ?? { status: 0, data: String(error) });
    console.log(JSON.stringify({ step, status: answer.status, body: answer.data }));
  }
}

main();
