package storefront;

import java.io.File;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** What the command line says: {@code [--tls FILE] [--deadline SECONDS] [--limit N] SHOPPER…}. */
record Options(File tls, long deadlineMs, int limit, List<String> shoppers) {

  static Options of(String[] words) {
    File tls = null;
    long deadlineMs = 1000;
    int limit = 3;
    List<String> shoppers = new ArrayList<>();
    for (Iterator<String> rest = List.of(words).iterator(); rest.hasNext(); ) {
      String word = rest.next();
      switch (word) {
        case "--tls" -> tls = new File(rest.next());
        case "--deadline" -> deadlineMs = Math.round(Double.parseDouble(rest.next()) * 1000);
        case "--limit" -> limit = Integer.parseInt(rest.next());
        default -> shoppers.add(word);
      }
    }
    return new Options(tls, deadlineMs, limit, shoppers);
  }
}
